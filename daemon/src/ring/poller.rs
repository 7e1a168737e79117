// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The poller: takes requests off rings.
//!
//! A drain ends, whatever a guest does to its ring. A ring with invalid contents is not served
//! until the next kick; a counter and a log line record it.

use std::hint;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use virtio_queue::DescriptorChain;
use vm_memory::GuestAddressSpace;

use crate::adapter::{AtomicMemory, HeadIndex, TransportMemory};
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::Metrics;
use crate::ring::polling::Polling;
use crate::ring::quiesce::InFlightGuard;
use crate::ring::vring::{NextChain, Ring};

/// The guest offers descriptors that the device has not returned yet.
#[derive(Debug, thiserror::Error)]
#[error("more requests are in flight than the ring has descriptors")]
struct Surplus;

/// Two parts of the ring share bytes.
#[derive(Debug, thiserror::Error)]
#[error("descriptor table, available ring and used ring overlap")]
struct Overlap;

/// A request that was taken off its ring.
pub(crate) struct TakenChain {
    pub(crate) chain: DescriptorChain<Arc<TransportMemory>>,
    pub(crate) guard: InFlightGuard,
    /// The memory table in which its descriptors are looked up.
    pub(crate) memory: Arc<TransportMemory>,
    /// An earlier daemon had taken this request already.
    pub(crate) resubmitted: bool,
    /// When it was seen, if the ring was watched until then.
    pub(crate) seen: Option<Instant>,
}

/// Takes requests off any ring of one device.
pub(crate) struct Poller {
    memory: AtomicMemory,
    metrics: Arc<Metrics>,
    log_limit: LogLimit,
    /// For each queue; empty where no ring is watched.
    polling: Vec<Mutex<Polling>>,
}

impl Poller {
    pub(crate) fn new(memory: AtomicMemory, metrics: Arc<Metrics>) -> Self {
        Self {
            memory,
            metrics,
            log_limit: LogLimit::default(),
            polling: Vec::new(),
        }
    }

    /// Watches each ring for as long as `limit` after its requests were served; never if that is 0.
    pub(crate) fn watch(self, limit: Duration) -> Self {
        let now = Instant::now();
        let times = self.metrics.poll_times.iter().filter(|_| !limit.is_zero());
        let polling = times
            .map(|times| Mutex::new(Polling::new(limit, Arc::clone(times), now)))
            .collect();
        Self { polling, ..self }
    }

    /// Passes every request of `ring` to `serve`, until the ring is empty and the guest's notifications
    /// are enabled again. Before that the ring may be watched for the next request.
    ///
    /// A request is taken only after `worker` has returned a thread for it. So no request waits for
    /// a thread while a stop of the ring waits for the request. `worker` may block; if it returns
    /// none, the other requests stay on the ring.
    pub(crate) fn drain<W>(
        &self,
        queue: usize,
        ring: &Ring,
        mut worker: impl FnMut() -> Option<W>,
        mut serve: impl FnMut(W, TakenChain),
    ) {
        let mut empty_passes = 0;
        let mut seen = None;
        // Only the queue's thread takes this lock.
        let mut polling = self.polling.get(queue).map(Mutex::lock);
        if let Some(polling) = &mut polling {
            polling.begin(Instant::now());
        }
        loop {
            if let Err(error) = ring.disable_notification() {
                return self.blame_ring(queue, &error);
            }
            let served = self.take_all(queue, ring, seen.take(), &mut worker, &mut serve);
            ring.notify();
            let Some(served) = served else {
                return;
            };
            seen = polling
                .as_mut()
                .and_then(|polling| self.look_out(ring, polling, served));
            if seen.is_some() {
                empty_passes = 0;
                continue;
            }
            match ring.enable_notification() {
                Ok(false) => return,
                Ok(true) if served > 0 => empty_passes = 0,
                Ok(true) => empty_passes += 1,
                Err(error) => return self.blame_ring(queue, &error),
            }
            // One empty pass is the race that `enable_notification` reports: a request came after
            // the last look. Two empty passes mean that the available index runs ahead of the
            // requests.
            if empty_passes == 2 {
                return;
            }
        }
    }

    /// Watches a ring that ran empty, if that is expected to pay. Returns when a request was seen.
    fn look_out(&self, ring: &Ring, polling: &mut Polling, served: u32) -> Option<Instant> {
        let mut now = Instant::now();
        let until = polling.ran_empty(served, now)?;
        self.metrics.polls.count();
        while now < until {
            // The vring's lock is free between two looks, so the ring can be stopped.
            let there = ring.has_request()?;
            now = Instant::now();
            if there {
                self.metrics.poll_hits.count();
                polling.hit(now);
                return Some(now);
            }
            hint::spin_loop();
        }
        polling.miss();
        None
    }

    /// Returns how many requests there were; `None` when the ring cannot be served. The first one was
    /// `seen` by watching the ring.
    fn take_all<W>(
        &self,
        queue: usize,
        ring: &Ring,
        mut seen: Option<Instant>,
        worker: &mut impl FnMut() -> Option<W>,
        serve: &mut impl FnMut(W, TakenChain),
    ) -> Option<u32> {
        let mut served = 0;
        loop {
            let worker = worker()?;
            // Loaded for this request alone: a table that is kept keeps the files of its regions
            // open.
            let memory = self.memory.memory().into_inner();
            match ring.pop(&memory) {
                Ok(NextChain::Nothing) => return Some(served),
                Ok(NextChain::Chain {
                    chain,
                    guard,
                    resubmitted,
                }) => {
                    served += 1;
                    if let Some(requests) = self.metrics.requests.get(queue) {
                        requests.count();
                    }
                    let taken = TakenChain {
                        chain,
                        guard,
                        memory,
                        resubmitted,
                        seen: seen.take(),
                    };
                    serve(worker, taken);
                }
                Ok(NextChain::BadHead(HeadIndex(head))) => {
                    served += 1;
                    self.metrics.bad_heads.count();
                    self.log_limit.warn(format_args!(
                        "queue {queue}: head {head} is outside the descriptor table"
                    ));
                }
                Ok(NextChain::Surplus) => {
                    self.blame_ring(queue, &Surplus);
                    return None;
                }
                Ok(NextChain::Overlap) => {
                    self.blame_ring(queue, &Overlap);
                    return None;
                }
                Err(error) => {
                    self.blame_ring(queue, &error);
                    return None;
                }
            }
        }
    }

    fn blame_ring(&self, queue: usize, error: &(dyn std::error::Error + 'static)) {
        self.metrics.bad_rings.count();
        self.log_limit.warn(format_args!(
            "queue {queue} cannot be served: {}",
            ErrorChain(error)
        ));
    }
}
