// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! virtiofsd's file system, with DAX.
//!
//! Methods check that names are no paths ([`super::name`]) and delegate. What is promised is
//! decided in [`super::eligibility`].

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

/// A file system whose files may be mapped, if there is a window. Clones share all state.
pub struct DaxFs<F, S> {
    inner: Arc<F>,
    dax: Option<Arc<Dax<S>>>,
    /// The guest has a window and has declared that it heeds `FUSE_ATTR_DAX`. For any other guest
    /// no file is examined.
    heeded: Arc<AtomicBool>,
    /// The guest's kernel does not know submounts, so the attribute flag is not shown.
    hides_mounts: Arc<AtomicBool>,
    /// The guest's kernel caches writes (`--writeback`), so it may read from a file that it has
    /// open for writing.
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

    /// The wrapped file system.
    #[must_use]
    pub fn inner(&self) -> &F {
        &self.inner
    }

    /// The DAX state, if the guest heeds `FUSE_ATTR_DAX`.
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

/// Returns the node's number and the inode itself: the trait takes inodes by value, and they need
/// not be `Copy`.
fn split<I: From<u64> + Into<u64>>(inode: I) -> (NodeId, I) {
    let number: u64 = inode.into();
    (NodeId(number), I::from(number))
}
