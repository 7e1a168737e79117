// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The poller: takes requests off rings.
//!
//! A drain ends, whatever a guest does to its ring. A ring with invalid contents is not served
//! until the next kick; a counter and a log line record it.

use std::sync::Arc;

use virtio_queue::DescriptorChain;
use vm_memory::GuestAddressSpace;

use crate::adapter::{AtomicMemory, HeadIndex, TransportMemory};
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::Metrics;
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
}

/// Takes requests off any ring of one device.
pub(crate) struct Poller {
    memory: AtomicMemory,
    metrics: Arc<Metrics>,
    log_limit: LogLimit,
}

impl Poller {
    pub(crate) fn new(memory: AtomicMemory, metrics: Arc<Metrics>) -> Self {
        Self {
            memory,
            metrics,
            log_limit: LogLimit::default(),
        }
    }

    /// Passes every request of `ring` to `serve`, until the ring is empty and the guest's notifications
    /// are enabled again.
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
        loop {
            if let Err(error) = ring.disable_notification() {
                return self.blame_ring(queue, &error);
            }
            let served = self.take_all(queue, ring, &mut worker, &mut serve);
            ring.notify();
            let Some(served) = served else {
                return;
            };
            match ring.enable_notification() {
                Ok(false) => return,
                Ok(true) if served => empty_passes = 0,
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

    /// Returns whether there was any request; `None` when the ring cannot be served.
    fn take_all<W>(
        &self,
        queue: usize,
        ring: &Ring,
        worker: &mut impl FnMut() -> Option<W>,
        serve: &mut impl FnMut(W, TakenChain),
    ) -> Option<bool> {
        let mut any = false;
        loop {
            let worker = worker()?;
            // Loaded for this request alone: a table that is kept keeps the files of its regions
            // open.
            let memory = self.memory.memory().into_inner();
            match ring.pop(&memory) {
                Ok(NextChain::Nothing) => return Some(any),
                Ok(NextChain::Chain {
                    chain,
                    guard,
                    resubmitted,
                }) => {
                    any = true;
                    if let Some(requests) = self.metrics.requests.get(queue) {
                        requests.count();
                    }
                    let taken = TakenChain {
                        chain,
                        guard,
                        memory,
                        resubmitted,
                    };
                    serve(worker, taken);
                }
                Ok(NextChain::BadHead(HeadIndex(head))) => {
                    any = true;
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
