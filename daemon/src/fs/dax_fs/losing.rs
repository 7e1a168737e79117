// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Operations that take pages from a file, and stores that a file has lost.

use std::io;

use shared_window::ViewSource;
use virtiofsd::filesystem::{Context, FileSystem};

use super::{DaxFs, split};
use crate::fs::NodeId;
use crate::fs::losses::Loss;
use crate::fs::lost_stores::Question;

/// The mode of FALLOCATE that makes a file shorter.
const COLLAPSE: u32 = libc::FALLOC_FL_COLLAPSE_RANGE as u32;

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// Runs `work`, which may take pages from the file of `node`. Fails without running it if the
    /// pages are mapped under another node.
    pub(super) fn lose<T>(
        &self,
        context: Context,
        node: NodeId,
        loss: Loss,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let _losing = match &self.dax {
            Some(dax) => Some(dax.losses.begin(&*self.inner, context, node, loss)?),
            None => None,
        };
        work()
    }

    /// FALLOCATE.
    pub(super) fn allocate(
        &self,
        ctx: Context,
        inode: F::Inode,
        handle: F::Handle,
        mode: u32,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        if mode & COLLAPSE == 0 {
            // A punched hole reads as zeros, also through a mapping.
            let (inode, handle): (u64, u64) = (inode.into(), handle.into());
            return self.with_room(ctx, || {
                self.inner
                    .fallocate(ctx, inode.into(), handle.into(), mode, offset, length)
            });
        }
        let (node, inode) = split(inode);
        self.lose(ctx, node, Loss::Of(length), || {
            self.inner
                .fallocate(ctx, inode, handle, mode, offset, length)
        })
    }

    /// Fails if the guest has stored to pages that the file had lost.
    pub(super) fn answer_for_stores(
        &self,
        node: NodeId,
        handle: u64,
        question: Question,
    ) -> io::Result<()> {
        match &self.dax {
            Some(dax) => dax.lost_stores.answer(node, handle, question),
            None => Ok(()),
        }
    }

    /// Records the handle that an OPEN or CREATE has opened, and returns it.
    pub(super) fn note_open(&self, node: NodeId, handle: Option<F::Handle>) -> Option<F::Handle> {
        let handle: u64 = handle?.into();
        if let Some(dax) = &self.dax {
            dax.lost_stores.handle_opened(node, handle);
        }
        Some(handle.into())
    }
}
