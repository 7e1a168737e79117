// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Takes requests off rings.
//!
//! Whatever a guest does to a ring, taking ends: a ring that makes no sense is left alone until
//! the next kick, with a counter and a log line.

use std::sync::Arc;

use virtio_queue::DescriptorChain;
use vm_memory::GuestAddressSpace;

use crate::adapter::{AtomicMemory, HeadIndex, TransportMemory};
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::Metrics;
use crate::ring::quiesce::InFlightGuard;
use crate::ring::vring::{NextChain, Ring};

/// The guest offers descriptors that it has not got back yet.
#[derive(Debug, thiserror::Error)]
#[error("more requests are in flight than the ring has descriptors")]
struct Surplus;

/// The guest has put the ring's parts upon each other.
#[derive(Debug, thiserror::Error)]
#[error("descriptor table, available ring and used ring are not apart")]
struct Overlap;

/// A request that was taken off its ring.
pub(crate) struct Taken {
    pub(crate) chain: DescriptorChain<Arc<TransportMemory>>,
    pub(crate) guard: InFlightGuard,
    /// What its descriptors lie in.
    pub(crate) memory: Arc<TransportMemory>,
    /// A daemon before this one had taken it, too.
    pub(crate) again: bool,
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

    /// Gives every request that `ring` has to `serve`, until there are no more and the guest
    /// knows that it has to kick.
    ///
    /// Each is taken when `worker` has said who serves it, so that it never waits for one while
    /// the ring's stop waits for it. `worker` may wait; without one, the rest is left on the ring.
    pub(crate) fn drain<W>(
        &self,
        queue: usize,
        ring: &Ring,
        mut worker: impl FnMut() -> Option<W>,
        mut serve: impl FnMut(W, Taken),
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
            // Once is the race that `enable_notification` looks for: a request came after the last look.
            // Twice is a ring whose available index runs ahead of anything it has to offer.
            if empty_passes == 2 {
                return;
            }
        }
    }

    /// Returns whether there was any, or nothing when the ring cannot be served.
    fn take_all<W>(
        &self,
        queue: usize,
        ring: &Ring,
        worker: &mut impl FnMut() -> Option<W>,
        serve: &mut impl FnMut(W, Taken),
    ) -> Option<bool> {
        let mut any = false;
        loop {
            let worker = worker()?;
            // Of this request alone: a table that is kept keeps the files of its regions.
            let memory = self.memory.memory().into_inner();
            let popped = ring.pop(&memory);
            let again = matches!(popped, Ok(NextChain::Resubmitted(..)));
            match popped {
                Ok(NextChain::Nothing) => return Some(any),
                Ok(NextChain::Chain(chain, guard) | NextChain::Resubmitted(chain, guard)) => {
                    any = true;
                    if let Some(requests) = self.metrics.requests.get(queue) {
                        requests.count();
                    }
                    let taken = Taken {
                        chain,
                        guard,
                        memory,
                        again,
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
