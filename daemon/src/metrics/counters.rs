// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the daemon counts.
//!
//! One [`Metrics`] a daemon, filled by the threads that serve requests, read by anyone. Every
//! counter only grows and is independent of the others, so relaxed atomics are enough; a reader
//! sees numbers of about the same moment, not a consistent set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::behaviour::Behaviour;
use super::observer::Observer;
use super::refusal::Refusals;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one event.
    pub fn count(&self) {
        self.add(1);
    }

    /// Counts several events.
    pub fn add(&self, events: u64) {
        self.0.fetch_add(events, Ordering::Relaxed);
    }

    /// Events so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The daemon's counters, all in events since its start.
#[derive(Debug)]
pub struct Metrics {
    /// Requests taken off each queue; queue 0 is the high priority queue.
    pub requests: Vec<Counter>,
    /// Descriptor chains that are no request; returned with length 0.
    pub bad_chains: Counter,
    /// Available ring entries that name no descriptor; they cannot be returned.
    pub bad_heads: Counter,
    /// Rings found in a state from which no request can be taken.
    pub bad_rings: Counter,
    /// FUSE requests that the server could not parse; answered with an error where possible.
    pub bad_requests: Counter,
    /// Panics of the FUSE server, answered with EIO where possible.
    pub panics: Counter,
    /// Replies that could not be put on the used ring.
    pub lost_replies: Counter,
    /// Pages of guest memory whose file had been truncated; read as zeros, writes lost.
    pub lost_pages: Counter,
    /// Requests with a buffer that is neither memory nor in a file that is mapped.
    pub unreachable_buffers: Counter,
    /// Pages of mapped files that the VMM found gone; the guest reads zeros.
    pub lost_mapped: Counter,
    /// Those of them that the guest has stored to; what it stored is gone.
    pub lost_stores: Counter,
    /// Requests given up because their ring was reset under them.
    pub abandoned: Counter,
    /// SETUPMAPPING requests answered with success.
    pub mappings_set_up: Counter,
    /// SETUPMAPPING requests answered with an error.
    pub mappings_refused: Counter,
    /// The same by reason.
    pub refusals: Refusals,
    /// REMOVEMAPPING requests.
    pub removals: Counter,
    /// Times that the whole window was cleared (INIT, DESTROY, device reset).
    pub clears: Counter,
    /// Files opened for the window.
    pub files_opened: Counter,
    /// What the VMM was found to do.
    pub vmm: Arc<Behaviour>,
    observer: Option<Arc<Observer>>,
}

impl Metrics {
    /// Counters for a device with `queues` queues, the high priority queue included.
    #[must_use]
    pub fn new(queues: usize) -> Self {
        Self::observed(queues, None)
    }

    /// The same, and what `observer` collects.
    #[must_use]
    pub fn observed(queues: usize, observer: Option<Arc<Observer>>) -> Self {
        Self {
            requests: (0..queues).map(|_| Counter::default()).collect(),
            bad_chains: Counter::default(),
            bad_heads: Counter::default(),
            bad_rings: Counter::default(),
            bad_requests: Counter::default(),
            panics: Counter::default(),
            lost_replies: Counter::default(),
            lost_pages: Counter::default(),
            unreachable_buffers: Counter::default(),
            lost_mapped: Counter::default(),
            lost_stores: Counter::default(),
            abandoned: Counter::default(),
            mappings_set_up: Counter::default(),
            mappings_refused: Counter::default(),
            refusals: Refusals::default(),
            removals: Counter::default(),
            clears: Counter::default(),
            files_opened: Counter::default(),
            vmm: Arc::default(),
            observer,
        }
    }

    /// Who wants to know more than these counters.
    #[must_use]
    pub fn observer(&self) -> Option<&Observer> {
        self.observer.as_deref()
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (queue, requests) in self.requests.iter().enumerate() {
            write!(f, "requests.{queue}={} ", requests.get())?;
        }
        let rest = [
            ("bad_chains", &self.bad_chains),
            ("bad_heads", &self.bad_heads),
            ("bad_rings", &self.bad_rings),
            ("bad_requests", &self.bad_requests),
            ("panics", &self.panics),
            ("lost_replies", &self.lost_replies),
            ("lost_pages", &self.lost_pages),
            ("unreachable_buffers", &self.unreachable_buffers),
            ("lost_mapped", &self.lost_mapped),
            ("lost_stores", &self.lost_stores),
            ("abandoned", &self.abandoned),
            ("mappings_set_up", &self.mappings_set_up),
            ("mappings_refused", &self.mappings_refused),
            ("removals", &self.removals),
            ("clears", &self.clears),
            ("files_opened", &self.files_opened),
        ];
        let shown: Vec<_> = rest
            .iter()
            .map(|(name, counter)| format!("{name}={}", counter.get()))
            .collect();
        f.write_str(&shown.join(" "))
    }
}
