// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! virtiofsd's file system with DAX in its INIT and its attributes.
//!
//! Mechanical: every method delegates, once names are known to be such ([`super::name`]). What is
//! promised is decided in [`super::eligibility`].

mod attributes;
mod broken;
mod losing;
mod opening;
mod operations;
mod remembered;
mod room;
mod times;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared_window::ViewSource;
use virtiofsd::filesystem::FileSystem;

pub use self::remembered::Dax;
use super::NodeId;

/// A file system whose files may be mapped, where there is a window. Clones are the same one.
pub struct DaxFs<F, S> {
    inner: Arc<F>,
    dax: Option<Arc<Dax<S>>>,
    /// The guest has a window and has said that it heeds `FUSE_ATTR_DAX`. For any other one no file
    /// is examined.
    heeded: Arc<AtomicBool>,
    /// The guest does not know which directories are mounts, so it is not shown.
    hides_mounts: Arc<AtomicBool>,
    /// The guest's kernel caches writes (`--writeback`), so it may read what it has open for writing.
    writeback: Arc<AtomicBool>,
}

impl<F, S> Clone for DaxFs<F, S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            dax: self.dax.clone(),
            heeded: Arc::clone(&self.heeded),
            hides_mounts: Arc::clone(&self.hides_mounts),
            writeback: Arc::clone(&self.writeback),
        }
    }
}

impl<F: FileSystem, S: ViewSource> DaxFs<F, S> {
    /// Wraps `inner`; without `dax` it behaves exactly as `inner` does.
    #[must_use]
    pub fn new(inner: Arc<F>, dax: Option<Arc<Dax<S>>>) -> Self {
        Self {
            inner,
            dax,
            heeded: Arc::default(),
            hides_mounts: Arc::default(),
            writeback: Arc::default(),
        }
    }

    /// The file system that is wrapped.
    #[must_use]
    pub fn inner(&self) -> &F {
        &self.inner
    }

    /// What is remembered for a guest that heeds eligibility.
    fn heeding(&self) -> Option<&Dax<S>> {
        let heeded = self.heeded.load(Ordering::Relaxed);
        self.dax.as_deref().filter(|_| heeded)
    }

    fn let_go(&self, node: NodeId) {
        if let Some(dax) = &self.dax {
            dax.forget(node);
        }
    }
}

/// The trait takes inodes by value and they need not be `Copy`.
fn split<I: From<u64> + Into<u64>>(inode: I) -> (NodeId, I) {
    let number: u64 = inode.into();
    (NodeId(number), I::from(number))
}
