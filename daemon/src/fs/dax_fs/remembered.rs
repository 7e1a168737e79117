// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The state of a share with a window.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shared_window::{View, ViewSource};

use crate::fs::{DaxEligibility, Losses, LostStores, NodeCache, NodeId, WindowNegotiated, Written};

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
    pub(super) fn forget(&self, node: NodeId) {
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
