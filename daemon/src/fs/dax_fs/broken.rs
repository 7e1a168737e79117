// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An OPEN of a file whose promise is broken.

use std::io;

use shared_window::ViewSource;
use virtiofsd::filesystem::{Context, FileSystem, OpenOptions};

use super::{Dax, DaxFs, split};
use crate::fs::NodeId;

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// An OPEN without O_TRUNC. On ESTALE Linux looks the file up again, so the guest learns of a
    /// broken promise before it reads.
    pub(super) fn open_to_read_or_write(
        &self,
        ctx: Context,
        inode: F::Inode,
        kill_priv: bool,
        flags: u32,
    ) -> io::Result<(Option<F::Handle>, OpenOptions)> {
        let Some(dax) = self.heeding() else {
            return self.inner.open(ctx, inode, kill_priv, flags);
        };
        let (node, inode) = split(inode);
        if dax.eligibility.tell_of_broken(node) {
            return Err(io::Error::from_raw_os_error(libc::ESTALE));
        }
        let opened = self.inner.open(ctx, inode, kill_priv, flags)?;
        self.check_promise(dax, ctx, node, flags, opened)
    }

    /// Returns `opened`, or releases the handle and fails with ESTALE if the node's promise no
    /// longer holds.
    pub(super) fn check_promise(
        &self,
        dax: &Dax<S>,
        ctx: Context,
        node: NodeId,
        flags: u32,
        opened: (Option<F::Handle>, OpenOptions),
    ) -> io::Result<(Option<F::Handle>, OpenOptions)> {
        let for_reading = flags & libc::O_ACCMODE as u32 == libc::O_RDONLY as u32;
        if for_reading && (dax.eligibility.is_sure_of(node) || dax.views.holds(node)) {
            return Ok(opened);
        }
        let (Some(handle), options) = opened else {
            return Ok(opened);
        };
        let handle: u64 = handle.into();
        let holds = if for_reading {
            dax.eligibility.still_holds(&*self.inner, ctx, node, handle)
        } else {
            // No SETUPMAPPING can make a read-only mapping of such a file writable.
            !dax.eligibility.is_only_to_read(node)
        };
        if holds {
            return Ok((Some(handle.into()), options));
        }
        dax.eligibility.revoke(node);
        dax.eligibility.tell_of_broken(node);
        let inode = F::Inode::from(node.0);
        self.inner
            .release(ctx, inode, 0, handle.into(), false, false, None)?;
        Err(io::Error::from_raw_os_error(libc::ESTALE))
    }
}
