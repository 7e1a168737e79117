// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The mtime of files that were stored into through the window.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use shared_window::ViewSource;
use virtiofsd::filesystem::{Context, FileSystem, SetattrValid};

use super::DaxFs;
use crate::fs::NodeId;
use crate::fs::open::with_handle;
use crate::fs::written::Event;

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// Sets mtime to now, if the guest may have stored into the file and `handle` is open for
    /// writing.
    pub(super) fn note_stores(&self, context: Context, node: NodeId, handle: u64, event: Event) {
        let Some(dax) = &self.dax else { return };
        if !dax.written.is_due(node, handle, event) {
            return;
        }
        match with_handle(&*self.inner, context, node, handle, move_mtime) {
            Ok(true) => dax.written.moved(node),
            Ok(false) => {}
            // The handle is gone, or the host does not allow setting times. The request goes on.
            Err(error) => log::debug!("cannot set the time of node {}: {error}", node.0),
        }
    }

    /// Records that the guest sets mtime to a given time, which later events must not overwrite.
    pub(super) fn note_time(&self, context: Context, node: NodeId, valid: SetattrValid) {
        let sets = valid.contains(SetattrValid::MTIME) && !valid.contains(SetattrValid::MTIME_NOW);
        let Some(dax) = self.dax.as_ref().filter(|_| sets) else {
            return;
        };
        if dax.written.knows(node)
            && let Ok(next) = self.next_handle(context, node)
        {
            dax.written.set(node, next);
        }
    }

    /// The number that virtiofsd gives to the next handle: it numbers handles in the order in which
    /// they are opened.
    fn next_handle(&self, context: Context, node: NodeId) -> io::Result<u64> {
        let inode = || F::Inode::from(node.0);
        let (handle, _) = self
            .inner
            .open(context, inode(), false, libc::O_PATH as u32)?;
        let handle: u64 = handle
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?
            .into();
        self.inner
            .release(context, inode(), 0, handle.into(), false, false, None)?;
        Ok(handle)
    }
}

/// Sets the file's mtime (and with it ctime) to now, if the file is open for writing. Returns
/// whether it is.
fn move_mtime(file: BorrowedFd<'_>) -> io::Result<bool> {
    if rustix::fs::fcntl_getfl(file)? & OFlags::ACCMODE == OFlags::RDONLY {
        return Ok(false);
    }
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let times = Timestamps {
        last_access: time(UTIME_OMIT),
        last_modification: time(UTIME_NOW),
    };
    rustix::fs::futimens(file, &times)?;
    Ok(true)
}
