// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a share with a window remembers.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shared_window::{View, ViewSource};

use crate::fs::{DaxEligibility, Losses, LostStores, NodeCache, NodeId, WindowNegotiated, Written};

/// What a share with a window remembers about its files.
pub struct Dax<S> {
    /// Which files are promised.
    pub eligibility: DaxEligibility<S>,
    /// The views of files that were mapped lately.
    pub views: NodeCache<Arc<View>>,
    /// What the guest may not take from a file.
    pub losses: Losses,
    /// Which files may have been stored into.
    pub written: Written,
    /// The guest leaves it to this daemon to take set-user-ID and the like from what is written to
    /// (`--killpriv-v2`).
    pub kills_privileges: AtomicBool,
    /// What the guest has stored to pages that were gone.
    pub lost_stores: LostStores,
    /// Unless it is usable nothing is promised.
    pub negotiated: WindowNegotiated,
}

impl<S: ViewSource> Dax<S> {
    pub(super) fn forget(&self, node: NodeId) {
        self.written.forget(node);
        self.eligibility.forget(node);
        self.views.forget(node);
        self.lost_stores.forget(node);
    }

    /// Lets go of everything, for a guest that starts anew.
    pub fn forget_all(&self) {
        self.eligibility.begin_anew();
        self.written.clear();
        self.views.clear();
        self.lost_stores.forget_all();
    }
}
