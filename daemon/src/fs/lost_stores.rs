// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stores of the guest's that never reached their file.
//!
//! A page that QEMU has mapped can be gone from its file: truncated, no room, an error. With
//! `qemu/guard` QEMU lives on, and the guest stores into memory that belongs to no file. A program
//! that asks whether its stores have reached the file gets EIO, by the rule that Linux has for a
//! failed writeback (errseq_t):
//!
//! * FSYNC of each handle fails once for a loss. A handle that was opened after the loss is spared
//!   if an FSYNC has failed for it before.
//! * FLUSH fails once, too, of a handle that was open at the loss and whose FSYNC has not failed.
//!   FSYNC fails all the same afterwards: close(2) of a duplicate must not hide the loss from a
//!   program that calls fsync(2).
//! * RELEASE says nothing, since Linux doesn't look at its answer.
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
use crate::log::LogLimit;
use crate::metrics::Metrics;

/// How the guest asks whether stores have reached the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Flush,
    Fsync,
}

/// What a file has lost, and which handles need not hear of it.
#[derive(Debug, Default)]
struct Loss {
    /// An FSYNC has failed for it.
    told: bool,
    /// Handles whose FSYNC does not fail for it.
    fsync_spared: HashSet<u64>,
    /// Handles whose FLUSH does not fail for it.
    flush_spared: HashSet<u64>,
}

/// What is known of them.
pub struct LostStores {
    lost: Option<LostPages>,
    /// The reports that have been looked at.
    seen: AtomicU64,
    /// How many files have lost something.
    files: AtomicU64,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    log_limit: LogLimit,
}

#[derive(Default)]
struct State {
    /// The nodes of all views that may be mapped.
    views: HashMap<ViewNumber, NodeId>,
    /// What files have lost that the guest knows still.
    losses: HashMap<NodeId, Loss>,
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
            files: AtomicU64::new(0),
            state: Mutex::default(),
            metrics,
            log_limit: LogLimit::default(),
        }
    }

    /// A view of the node's file was opened.
    pub fn view_opened(&self, node: NodeId, view: &View) {
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

    /// What FLUSH and FSYNC of this handle answer.
    ///
    /// # Errors
    /// EIO if the guest has stored to pages of the file that were gone, by the module's rule.
    pub(super) fn answer(&self, node: NodeId, handle: u64, question: Question) -> io::Result<()> {
        self.hear();
        self.with_loss(node, |loss| loss.answer(handle, question))
            .unwrap_or(Ok(()))
    }

    /// The guest has opened the node's file.
    pub(super) fn handle_opened(&self, node: NodeId, handle: u64) {
        self.hear();
        self.with_loss(node, |loss| {
            // The program has not stored by it.
            loss.flush_spared.insert(handle);
            if loss.told {
                loss.fsync_spared.insert(handle);
            }
        });
    }

    /// The guest has closed a handle for good.
    pub(super) fn handle_released(&self, node: NodeId, handle: u64) {
        self.with_loss(node, |loss| {
            loss.flush_spared.remove(&handle);
            loss.fsync_spared.remove(&handle);
        });
    }

    fn with_loss<T>(&self, node: NodeId, work: impl FnOnce(&mut Loss) -> T) -> Option<T> {
        if self.files.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.state.lock().losses.get_mut(&node).map(work)
    }

    /// The guest forgets the node, so it has no handle of it any more.
    pub fn forget(&self, node: NodeId) {
        if self.files.load(Ordering::Relaxed) > 0 {
            let mut state = self.state.lock();
            state.losses.remove(&node);
            self.count(&state);
        }
    }

    /// The guest starts anew and has no handles.
    pub fn forget_all(&self) {
        let mut state = self.state.lock();
        state.losses.clear();
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
            losses,
            pages,
        } = &mut *state;
        for (&view, &node) in &*views {
            let Some(stores) = lost.take(view) else {
                continue;
            };
            self.metrics.lost_stores.add(stores.pages);
            // All handles that are open now are to hear of it, those that have heard of an earlier
            // loss included.
            losses.insert(node, Loss::default());
            self.log_limit.warn(format_args!(
                "node {}: {} pages that the guest has stored to were gone from the host's file \
                 (truncated, disk full or an error), the last of them at offset {}: the next fsync \
                 of each descriptor fails",
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
        let count = state.losses.len() as u64;
        self.files.store(count, Ordering::Relaxed);
    }
}

impl Loss {
    fn answer(&mut self, handle: u64, question: Question) -> io::Result<()> {
        let fails = match question {
            Question::Fsync => self.fsync_spared.insert(handle),
            Question::Flush => !self.flush_spared.contains(&handle),
        };
        if !fails {
            return Ok(());
        }
        self.told |= question == Question::Fsync;
        self.flush_spared.insert(handle);
        Err(io::Error::from_raw_os_error(libc::EIO))
    }
}
