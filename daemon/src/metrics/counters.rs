// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's counters.
//!
//! There is one [`Metrics`] for each daemon. The threads that serve requests update it; any thread
//! may read it. Every counter only grows and is independent of the others, so relaxed atomics are
//! enough. A reader sees numbers of about the same moment, not a consistent set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::behaviour::Behaviour;
use super::observer::Observer;
use super::poll_times::PollTimes;
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

/// The event of a mapped page that the VMM found gone.
pub(super) const LOST_PAGES: &str = "lost_mapped_pages";
/// The event of a store to such a page.
pub(super) const LOST_STORES: &str = "lost_stored_pages";

/// An event that is always counted: its name, its description, and how often it happened.
pub(super) type Event = (&'static str, &'static str, u64);

/// States each counter once: its field, its name as a metric, and its description.
macro_rules! metrics {
    ($($field:ident: $name:expr, $help:literal;)+) => {
        /// The daemon's counters, all in events since its start.
        #[derive(Debug)]
        pub struct Metrics {
            /// Requests taken off each queue; queue 0 is the high priority queue.
            pub requests: Vec<Counter>,
            $(#[doc = $help] pub $field: Counter,)+
            /// For each queue, the time of a request with polling and without.
            pub poll_times: Vec<Arc<PollTimes>>,
            /// SETUPMAPPING requests answered with an error, by reason.
            pub refusals: Refusals,
            /// How the VMM was found to behave.
            pub vmm: Arc<Behaviour>,
            observer: Option<Arc<Observer>>,
        }

        impl Metrics {
            /// Counters for a device with `queues` queues, the high priority queue included, and what
            /// `observer` collects.
            #[must_use]
            pub fn observed(queues: usize, observer: Option<Arc<Observer>>) -> Self {
                Self {
                    requests: (0..queues).map(|_| Counter::default()).collect(),
                    $($field: Counter::default(),)+
                    poll_times: (0..queues).map(|_| Arc::default()).collect(),
                    refusals: Refusals::default(),
                    vmm: Arc::default(),
                    observer,
                }
            }

            /// The counters that always exist.
            pub(super) fn events(&self) -> Vec<Event> {
                vec![$(($name, $help, self.$field.get()),)+]
            }

            fn by_field(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($field), self.$field.get()),)+].into_iter()
            }
        }
    };
}

metrics! {
    bad_chains: "bad_chains", "Descriptor chains that are no request";
    bad_heads: "bad_heads", "Available ring entries that name no descriptor";
    bad_rings: "bad_rings", "Rings found in a state from which no request can be taken";
    bad_requests: "bad_requests", "FUSE requests that could not be parsed";
    panics: "panics", "Panics of the FUSE server, each contained in one request";
    lost_replies: "lost_replies", "Replies that could not be put on the used ring";
    lost_pages: "lost_pages", "Pages of guest memory whose file had been truncated";
    unreachable_buffers: "unreachable_buffers",
        "Requests with a buffer that is neither memory nor in a file that is mapped";
    lost_mapped: LOST_PAGES,
        "Pages of mapped files that the VMM found gone; the guest reads zeros";
    lost_stores: LOST_STORES, "Pages of mapped files whose stores by the guest were lost";
    abandoned: "abandoned_requests", "Requests given up because their ring was reset under them";
    mappings_set_up: "setupmapping_ok", "SETUPMAPPING requests answered with success";
    removals: "removemapping", "REMOVEMAPPING requests";
    clears: "window_clears", "Times that the whole window was cleared (INIT, DESTROY, device reset)";
    handed_over: "handed_over",
        "Requests handed over to another thread, because they may sleep";
    polls: "polls", "Times that a queue's thread watched its ring for the next request";
    poll_hits: "poll_hits", "Times that the next request came while the ring was watched";
    files_opened: "files_opened", "Files opened for the window";
}

impl Metrics {
    /// Counters without an observer.
    #[must_use]
    pub fn new(queues: usize) -> Self {
        Self::observed(queues, None)
    }

    /// The observer, which collects more than these counters.
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
        for (field, count) in self.by_field() {
            write!(f, "{field}={count} ")?;
        }
        write!(f, "mappings_refused={}", self.refusals.all())
    }
}
