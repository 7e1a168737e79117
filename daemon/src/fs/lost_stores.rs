// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stores of the guest's that never reached their file.
//!
//! A page that QEMU has mapped can be gone from its file: truncated, no room, an error. With
//! `qemu/guard` QEMU lives on, and the guest stores into memory that is nobody's. The guest's next
//! FSYNC or FLUSH of that file answers EIO, so that a program that asks is told. (RELEASE could say
//! it as well, but Linux doesn't look at its answer.)
//!
//! QEMU reports by way of the companion ([`LostPages`]). An operation of a guest that has lost
//! nothing costs two loads here.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use shared_window::{LostPages, View, ViewNumber};

use super::NodeId;
use crate::backend::{Complaint, Metrics};

/// What is known of them.
pub struct LostStores {
    lost: Option<LostPages>,
    /// The reports that have been looked at.
    seen: AtomicU64,
    /// How many nodes have an answer to come.
    unanswered: AtomicU64,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    complaint: Complaint,
}

#[derive(Default)]
struct State {
    /// The nodes of all views that may be mapped.
    views: HashMap<ViewNumber, NodeId>,
    /// Nodes whose next FSYNC or FLUSH fails.
    unanswered: HashSet<NodeId>,
    /// Pages that were counted.
    pages: u64,
}

impl LostStores {
    /// Of views whose VMM reports to `lost`, if any does.
    #[must_use]
    pub fn new(lost: Option<LostPages>, metrics: Arc<Metrics>) -> Self {
        Self {
            lost,
            seen: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            state: Mutex::default(),
            metrics,
            complaint: Complaint::default(),
        }
    }

    /// A view of the node's file was opened.
    pub fn opened(&self, node: NodeId, view: &View) {
        if self.lost.is_none() {
            return;
        }
        let Some(number) = ViewNumber::of(view.as_fd()) else {
            return;
        };
        // What was reported of a closed view that had the number is its node's.
        self.hear();
        self.state.lock().views.insert(number, node);
    }

    /// What the guest is told at FSYNC and FLUSH.
    ///
    /// # Errors
    /// EIO, once, if it has stored to pages of the file that were gone.
    pub fn answer(&self, node: NodeId) -> io::Result<()> {
        self.hear();
        if self.unanswered.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let mut state = self.state.lock();
        if !state.unanswered.remove(&node) {
            return Ok(());
        }
        self.count(&state);
        Err(io::Error::from_raw_os_error(libc::EIO))
    }

    /// The guest has let go of the node: nothing asks for it any more.
    pub fn forget(&self, node: NodeId) {
        if self.unanswered.load(Ordering::Relaxed) > 0 {
            let mut state = self.state.lock();
            state.unanswered.remove(&node);
            self.count(&state);
        }
    }

    /// The guest has let go of all nodes.
    pub fn forget_all(&self) {
        let mut state = self.state.lock();
        state.unanswered.clear();
        self.count(&state);
    }

    /// Takes in what was reported since the last call.
    pub fn hear(&self) {
        let Some(lost) = &self.lost else { return };
        let reports = lost.reports();
        if reports == self.seen.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state.lock();
        let State {
            views,
            unanswered,
            pages,
        } = &mut *state;
        for (&view, &node) in &*views {
            let Some(stores) = lost.take(view) else {
                continue;
            };
            self.metrics.lost_stores.add(stores.pages);
            unanswered.insert(node);
            self.complaint.warn(format_args!(
                "node {}: {} pages that the guest has stored to were gone from the host's file \
                 (truncated, disk full or an error), the last of them at offset {}: its next fsync \
                 fails",
                node.0, stores.pages, stores.offset
            ));
        }
        let now = lost.pages();
        self.metrics.lost_mapped.add(now.wrapping_sub(*pages));
        *pages = now;
        self.count(&state);
        // Only now: who sees this relies on what was taken.
        self.seen.store(reports, Ordering::Release);
    }

    fn count(&self, state: &State) {
        let count = state.unanswered.len() as u64;
        self.unanswered.store(count, Ordering::Relaxed);
    }
}
