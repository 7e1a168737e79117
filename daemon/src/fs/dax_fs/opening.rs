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
            let opened = self.open_to_read_or_write(ctx, inode, kill_priv, flags);
            opened.map_err(gone)?
        } else {
            let opened = self.lose(ctx, node, Loss::To(0), || {
                self.inner.open(ctx, inode, kill_priv, flags).map_err(gone)
            })?;
            match self.heeding() {
                // If this fails with ESTALE, the guest looks the file up again and repeats the
                // OPEN, which truncates the file once more.
                Some(dax) => self.check_promise(dax, ctx, node, flags, opened)?,
                None => opened,
            }
        };
        Ok((self.note_open(node, handle), options))
    }

    /// CREATE. `create` is virtiofsd's, which takes the flags to open with.
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
            // The file may exist already. Then this CREATE is an open of a node that is not known
            // yet.
            let (entry, handle, options) = create(flags & !TRUNCATE)?;
            self.truncate_created(ctx, kill_priv, flags, entry, handle, options)?
        } else {
            create(flags)?
        };
        let node = NodeId(entry.inode);
        if let Some(dax) = self.heeding()
            && dax.eligibility.is_only_to_read(node)
        {
            // The file existed, and can be written by now: the reply gives the node a new
            // generation, without DAX.
            dax.eligibility.revoke(node);
        }
        let handle = self.note_open(node, handle);
        Ok((self.mark_entry(ctx, entry), handle, options))
    }

    /// Empties a file that a CREATE has opened, if it has any content. A second open does it, as in
    /// virtiofsd's file system for a file that existed before.
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
            // An open with O_TRUNC that fails leaves no descriptor behind; neither does this.
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

/// An error of an open by a file handle. For a file that is gone ext4 says ENOMEM in place of ESTALE while
/// a new file gets its inode number. Linux looks a file up again, and opens it, only after ESTALE.
fn gone(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOMEM) => io::Error::from_raw_os_error(libc::ESTALE),
        _ => error,
    }
}

/// `open(2)` flags for a handle by which a kernel with a write-back cache writes. To change a part
/// of a page the kernel reads the page first. virtiofsd's OPEN allows for that, its CREATE does
/// not.
fn readable(flags: u32) -> u32 {
    let mode = libc::O_ACCMODE as u32;
    if flags & mode == libc::O_WRONLY as u32 {
        (flags & !mode) | libc::O_RDWR as u32
    } else {
        flags
    }
}
