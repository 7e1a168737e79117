// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Gives the blocks of removed files back when the disk is full.
//!
//! A view that is kept holds its file, also when that has no name left. While there is room it does
//! no harm; to look for such files before would be a question to the host for each.

use std::io;
use std::thread;
use std::time::Duration;

use shared_window::ViewSource;
use virtiofsd::filesystem::{Context, FileSystem};

use super::DaxFs;
use crate::fs::NodeId;

/// The companion gives a view's file up a moment after the view was closed, and nothing tells when.
/// No request but this one waits for that, unless it is of the same queue.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// Does what needs room, once more if there is more room then.
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
            // Not sleep, for which there is a system call that the filter does not allow.
            thread::park_timeout(BETWEEN_TRIES);
        }
        done
    }

    /// Drops the views of removed files; whether there was one. A range that is mapped keeps its
    /// file all the same, since the guest may still use it.
    fn give_back(&self, context: Context) -> bool {
        let Some(dax) = &self.dax else { return false };
        let removed: Vec<_> = dax
            .views
            .nodes()
            .into_iter()
            .filter(|node| self.is_removed(context, *node))
            .collect();
        removed.iter().for_each(|node| dax.views.forget(*node));
        !removed.is_empty()
    }

    fn is_removed(&self, context: Context, node: NodeId) -> bool {
        match self.inner.getattr(context, F::Inode::from(node.0), None) {
            Ok((attr, _)) => attr.nlink == 0,
            // By its handle a file is not found any more, or the guest has forgotten the node.
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
