// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! OPEN and CREATE.

use std::io;
use std::sync::atomic::Ordering;

use shared_window::ViewSource;
use virtiofsd::filesystem::{Context, Entry, FileSystem, OpenOptions};

use super::{DaxFs, split};
use crate::fs::NodeId;
use crate::fs::losses::Loss;

/// The flag of OPEN and CREATE that empties a file.
const TRUNCATE: u32 = libc::O_TRUNC as u32;
/// The flags of CREATE that make a file.
const MAKE: u32 = (libc::O_CREAT | libc::O_EXCL) as u32;

/// What CREATE answers.
type Created<F> = (Entry, Option<<F as FileSystem>::Handle>, OpenOptions);

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// OPEN.
    pub(super) fn open_file(
        &self,
        ctx: Context,
        inode: F::Inode,
        kill_priv: bool,
        flags: u32,
    ) -> io::Result<(Option<F::Handle>, OpenOptions)> {
        let (node, inode) = split(inode);
        let (handle, options) = if flags & TRUNCATE == 0 {
            self.open_to_read_or_write(ctx, inode, kill_priv, flags)?
        } else {
            let opened = self.lose(ctx, node, Loss::To(0), || {
                self.inner.open(ctx, inode, kill_priv, flags)
            })?;
            match self.heeding() {
                // It is emptied again when the guest has looked it up again.
                Some(dax) => self.check_promise(dax, ctx, node, flags, opened)?,
                None => opened,
            }
        };
        Ok((self.note_open(node, handle), options))
    }

    /// CREATE, by virtiofsd's `create` with the flags that it is to have.
    pub(super) fn create_file(
        &self,
        ctx: Context,
        flags: u32,
        kill_priv: bool,
        create: impl FnOnce(u32) -> io::Result<Created<F>>,
    ) -> io::Result<Created<F>> {
        let flags = if self.writeback.load(Ordering::Relaxed) {
            readable(flags)
        } else {
            flags
        };
        let (entry, handle, options) = if self.dax.is_some() && flags & TRUNCATE != 0 {
            // It may be there already, so that this is an open of a node that is not known yet.
            let (entry, handle, options) = create(flags & !TRUNCATE)?;
            self.truncate_created(ctx, kill_priv, flags, entry, handle, options)?
        } else {
            create(flags)?
        };
        let node = NodeId(entry.inode);
        if let Some(dax) = self.heeding()
            && dax.eligibility.is_only_to_read(node)
        {
            // It was there, and can be written by now: the answer names it anew, without DAX.
            dax.eligibility.revoke(node);
        }
        let handle = self.note_open(node, handle);
        Ok((self.mark_entry(ctx, entry), handle, options))
    }

    /// Empties a file that a CREATE has opened, if there is anything in it: by another open, as
    /// virtiofsd's file system does for a file that was there before.
    fn truncate_created(
        &self,
        ctx: Context,
        kill_priv: bool,
        flags: u32,
        mut entry: Entry,
        handle: Option<F::Handle>,
        options: OpenOptions,
    ) -> io::Result<Created<F>> {
        if entry.attr.size == 0 {
            return Ok((entry, handle, options));
        }
        let inode = || F::Inode::from(entry.inode);
        let emptied = self.open(ctx, inode(), kill_priv, flags & !MAKE);
        if let Some(handle) = handle {
            // As an O_TRUNC that fails leaves no descriptor behind.
            let released = self
                .inner
                .release(ctx, inode(), 0, handle, false, false, None);
            if let Err(error) = released {
                log::debug!("cannot release a handle of node {}: {error}", entry.inode);
            }
        }
        match emptied {
            Ok((handle, _)) => {
                entry.attr.size = 0;
                if let Ok((attr, _)) = self.inner.getattr(ctx, inode(), None) {
                    entry.attr = attr;
                }
                Ok((entry, handle, options))
            }
            Err(error) => {
                self.inner.forget(ctx, inode(), 1);
                Err(error)
            }
        }
    }
}

/// `open(2)` flags for a handle that a kernel with a write-back cache writes by: to change a part of
/// a page it reads the page first. virtiofsd's OPEN sees to that, its CREATE does not.
fn readable(flags: u32) -> u32 {
    let mode = libc::O_ACCMODE as u32;
    if flags & mode == libc::O_WRONLY as u32 {
        (flags & !mode) | libc::O_RDWR as u32
    } else {
        flags
    }
}
