// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stores of the guest that never reached their file.
//!
//! A page that QEMU has mapped can be gone from its file: the file was truncated, the disk is full,
//! or there was an I/O error. With `qemu/guard` QEMU survives, and the guest stores into memory
//! that belongs to no file. A program that asks whether its stores have reached the file gets EIO,
//! by Linux's rule for a failed writeback (errseq_t):
//!
//! * FSYNC of each handle fails once for a loss. A handle that was opened after the loss is spared
//!   if an FSYNC has already failed for that loss.
//! * FLUSH fails once, too, for a handle that was open at the loss and whose FSYNC has not failed.
//!   FSYNC fails all the same afterwards: close(2) of a duplicate must not hide the loss from a
//!   program that calls fsync(2).
//! * RELEASE reports nothing, since Linux ignores its result.
//!
//! QEMU reports through the companion ([`LostPages`]). For a guest that has lost nothing an
//! operation costs two loads here.

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

/// The operation by which the guest asks whether stores have reached the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Flush,
    Fsync,
}

/// A loss of one file, and the handles that need not report it.
#[derive(Debug, Default)]
struct Loss {
    /// An FSYNC has failed for this loss.
    told: bool,
    /// Handles whose FSYNC does not fail for this loss.
    fsync_spared: HashSet<u64>,
    /// Handles whose FLUSH does not fail for this loss.
    flush_spared: HashSet<u64>,
}

/// The losses that QEMU has reported, by node.
pub struct LostStores {
    lost: Option<LostPages>,
    /// The number of reports that have been processed.
    seen: AtomicU64,
    /// How many files have a loss.
    files: AtomicU64,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    log_limit: LogLimit,
}

#[derive(Default)]
struct State {
    /// The nodes of all views that may be mapped.
    views: HashMap<ViewNumber, NodeId>,
    /// Losses of files that the guest still knows.
    losses: HashMap<NodeId, Loss>,
    /// Lost pages that the metrics have counted.
    pages: u64,
}

impl LostStores {
    /// For views whose VMM reports to `lost`, if it reports at all.
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

    /// Records that a view of the node's file was opened.
    pub fn view_opened(&self, node: NodeId, view: &View) {
        if self.lost.is_none() {
            return;
        }
        let Some(number) = ViewNumber::of(view.as_fd()) else {
            return;
        };
        // Reports about a closed view of the same number belong to the node of that view.
        self.hear();
        self.state.lock().views.insert(number, node);
    }

    /// The result of a FLUSH or FSYNC of this handle.
    ///
    /// # Errors
    /// EIO if the guest has stored to pages that the file had lost, by the module's rule.
    pub(super) fn answer(&self, node: NodeId, handle: u64, question: Question) -> io::Result<()> {
        self.hear();
        self.with_loss(node, |loss| loss.answer(handle, question))
            .unwrap_or(Ok(()))
    }

    /// Records that the guest has opened the node's file.
    pub(super) fn handle_opened(&self, node: NodeId, handle: u64) {
        self.hear();
        self.with_loss(node, |loss| {
            // The program has not stored through this handle.
            loss.flush_spared.insert(handle);
            if loss.told {
                loss.fsync_spared.insert(handle);
            }
        });
    }

    /// Records that the guest has released a handle.
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

    /// Drops the loss of a node that the guest forgets: it has no handle of the node any more.
    pub fn forget(&self, node: NodeId) {
        if self.files.load(Ordering::Relaxed) > 0 {
            let mut state = self.state.lock();
            state.losses.remove(&node);
            self.count(&state);
        }
    }

    /// Drops all losses, for a guest that starts anew without handles.
    pub fn forget_all(&self) {
        let mut state = self.state.lock();
        state.losses.clear();
        self.count(&state);
    }

    /// Processes the reports since the last call.
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
            // All handles that are open now report the loss, also those that have reported an
            // earlier loss.
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
        // Stored last: a thread that sees this number relies on the losses recorded above.
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
