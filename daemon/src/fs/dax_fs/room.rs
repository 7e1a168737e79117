// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Frees the blocks of removed files when the disk is full.
//!
//! A cached view keeps its file open, also a file without a name, and so does a descriptor that is kept
//! for GETATTR. That is harmless while the disk has room. To look for such files earlier would cost a query to the host for each file.

use std::io;
use std::thread;
use std::time::Duration;

use shared_window::ViewSource;
use virtiofsd::filesystem::{Context, FileSystem};

use super::DaxFs;
use crate::fs::NodeId;

/// The companion closes a view's file a moment after the view was closed, and sends no event for
/// it. Only this request waits, and the requests of the same queue.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// Runs `work`. If the disk is full, drops views of removed files and tries again.
    pub(super) fn with_room<T>(
        &self,
        context: Context,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let mut done = work();
        if !done.as_ref().is_err_and(is_full) || !self.give_back(context) {
            return done;
        }
        for _ in 0..TRIES {
            done = work();
            if !done.as_ref().is_err_and(is_full) {
                break;
            }
            // Not `sleep`: its system call is not in the filter's list.
            thread::park_timeout(BETWEEN_TRIES);
        }
        done
    }

    /// Drops the views of removed files, and all kept descriptors. Returns whether there was one. A
    /// mapped range keeps its file open all the same, since the guest may still use it.
    fn give_back(&self, context: Context) -> bool {
        let closed = self.kept.as_ref().is_some_and(|kept| kept.forget_all());
        let Some(dax) = &self.dax else { return closed };
        let removed: Vec<_> = dax
            .views
            .nodes()
            .into_iter()
            .filter(|node| self.is_removed(context, *node))
            .collect();
        removed.iter().for_each(|node| dax.views.forget(*node));
        closed || !removed.is_empty()
    }

    fn is_removed(&self, context: Context, node: NodeId) -> bool {
        match self.inner.getattr(context, F::Inode::from(node.0), None) {
            Ok((attr, _)) => attr.nlink == 0,
            // The file can't be found by its handle any more, or the guest has forgotten the node.
            Err(error) => matches!(
                error.raw_os_error(),
                Some(libc::ESTALE | libc::ENOENT | libc::EBADF)
            ),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}
