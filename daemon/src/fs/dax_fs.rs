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
mod room;
mod times;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared_window::{View, ViewSource};
use virtiofsd::filesystem::FileSystem;

use super::{
    DaxEligibility, KeptFiles, Losses, LostStores, NodeCache, NodeId, WindowNegotiated, Written,
};
use crate::locks::HostLocks;

/// The state of a share with a window, by file.
pub struct Dax<S> {
    /// Decides which files are promised.
    pub eligibility: DaxEligibility<S>,
    /// Views of recently mapped files.
    pub views: NodeCache<Arc<View>>,
    /// Refuses to take pages that are mapped under another node.
    pub losses: Losses,
    /// Files that the guest may have stored into.
    pub written: Written,
    /// The guest leaves it to this daemon to clear set-user-ID, set-group-ID and capabilities of a
    /// written file (`--killpriv-v2`).
    pub kills_privileges: AtomicBool,
    /// Stores of the guest to pages that the file had lost.
    pub lost_stores: LostStores,
    /// The window's state. No file is promised unless the window is usable.
    pub negotiated: WindowNegotiated,
}

impl<S: ViewSource> Dax<S> {
    fn forget(&self, node: NodeId) {
        self.written.forget(node);
        self.eligibility.forget(node);
        self.views.forget(node);
        self.lost_stores.forget(node);
    }

    /// Forgets all files, for a guest that starts anew.
    pub fn forget_all(&self) {
        self.eligibility.begin_anew();
        self.written.clear();
        self.views.clear();
        self.lost_stores.forget_all();
    }
}

/// A file system whose files may be mapped, if there is a window. Clones share all state.
pub struct DaxFs<F, S> {
    inner: Arc<F>,
    dax: Option<Arc<Dax<S>>>,
    /// Descriptors of files whose attributes are asked for often.
    kept: Option<Arc<KeptFiles>>,
    /// The guest's locks, if they are the host's (`--locks host`).
    locks: Option<Arc<HostLocks>>,
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
            kept: self.kept.clone(),
            locks: self.locks.clone(),
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
            kept: None,
            locks: None,
            heeded: Arc::default(),
            hides_mounts: Arc::default(),
            writeback: Arc::default(),
        }
    }

    /// Keeps descriptors of files whose attributes are asked for often.
    #[must_use]
    pub fn keeping(mut self, kept: Option<KeptFiles>) -> Self {
        self.kept = kept.map(Arc::new);
        self
    }

    /// Takes the guest's locks on the host.
    pub(crate) fn with_locks(self, locks: Option<Arc<HostLocks>>) -> Self {
        Self { locks, ..self }
    }

    /// The guest's locks, if they are the host's.
    pub(crate) fn locks(&self) -> Option<&Arc<HostLocks>> {
        self.locks.as_ref()
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

    fn forget_node(&self, node: NodeId) {
        if let Some(kept) = &self.kept {
            kept.forget(node);
        }
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
