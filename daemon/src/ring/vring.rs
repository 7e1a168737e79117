// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A vring whose lock is never held while a request is processed.
//!
//! Wraps vhost-user-backend's `VringMutex` and watches what the control thread does to it, so
//! that [`RingQuiesce`] knows when the ring starts, stops and starts elsewhere. Lock order: the
//! vring's lock before [`RingQuiesce`]'s; nothing that waits is called with the vring's lock held.

mod front_end;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use shared_window::VhostUserShmem;
use vhost_user_backend::{VringMutex, VringState, VringT as _};
use virtio_queue::{DescriptorChain, Error as QueueError, Queue, QueueOwnedT, QueueT};
use vm_memory::{
    GuestAddress, GuestAddressSpace, GuestMemoryBackend, GuestMemoryError, GuestMemoryLoadGuard,
    GuestMemoryRegion,
};

use crate::adapter::{AtomicMemory, HeadIndex, TransportMemory};
use crate::log::LogLimit;
pub(crate) use crate::ring::batch::BatchNumber;
use crate::ring::batch::NotificationBatch;
use crate::ring::coalescing::Coalescing;
use crate::ring::inflight::Inflight;
use crate::ring::pause::RingPause;
use crate::ring::quiesce::{InFlightGuard, NotAdmitted, Position, RingQuiesce};
use crate::ring::resubmit::{Resubmission, RingLog};

/// The result of taking the next request off a ring.
pub(crate) enum NextChain {
    /// A request and its right to the ring.
    Chain {
        chain: DescriptorChain<Arc<TransportMemory>>,
        guard: InFlightGuard,
        /// An earlier daemon had taken this request already.
        resubmitted: bool,
    },
    /// A head that is no index of the descriptor table. It was taken off the available ring, but
    /// there is no way to return it.
    BadHead(HeadIndex),
    /// A request beyond the number of the ring's descriptors. It stays on the available ring.
    Surplus,
    /// Parts of the ring overlap. Each return of a request could make another one available,
    /// without end, so none is taken.
    Overlap,
    /// Nothing is available, or the ring is stopped or disabled.
    Nothing,
}

/// When the guest is notified of a request that was returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notify {
    /// At once.
    Now,
    /// With the requests that follow, by [`Ring::notify`]; or now, if the batch is large enough.
    Later,
}

/// One virtqueue, shared by the control thread and the threads that serve it.
#[derive(Clone)]
pub struct Ring {
    vring: VringMutex<AtomicMemory>,
    /// All regions of the VMM's table.
    table: AtomicMemory,
    /// The regions of the table that are memory, once that is known. A ring in a mapped file is
    /// neither read nor written: if a page of the file were gone, this process would get SIGBUS.
    memory: Arc<OnceLock<AtomicMemory>>,
    quiesce: Arc<RingQuiesce>,
    /// Requests that were returned and not notified yet.
    batch: Arc<NotificationBatch>,
    /// A request was returned while there was no call fd.
    pending_notification: Arc<AtomicBool>,
    coalescing: Arc<Coalescing>,
    /// The window's channel, which stops and starts with this ring.
    pause: Arc<RingPause>,
    /// Requests in flight, recorded for the next daemon.
    log: Arc<Mutex<RingLog>>,
    /// Whether `log` is in use. Without a log a request costs no more than this load.
    logs: Arc<AtomicBool>,
}

impl Ring {
    /// Lets `channel` stop and start with this ring, from the first call on.
    pub(crate) fn pause_with(&self, channel: &VhostUserShmem) {
        self.pause.attach(channel);
    }

    /// Accesses the ring through `memory` only, from the first call on.
    pub(crate) fn set_memory(&self, memory: AtomicMemory) {
        // Fails on a later call: only the first device serves the ring.
        let _ = self.memory.set(memory);
    }

    /// Records requests in flight in queue number `queue` of this memory, from the next start on.
    pub(crate) fn set_log(&self, inflight: &Arc<Inflight>, queue: usize) {
        self.log.lock().set_place(inflight, queue);
    }

    /// The log, if it is kept or may be from now on; called with the vring's lock held.
    fn log(&self) -> Option<MutexGuard<'_, RingLog>> {
        self.logs.load(Ordering::Relaxed).then(|| self.log.lock())
    }

    fn memory(&self) -> GuestMemoryLoadGuard<TransportMemory> {
        self.memory.get().unwrap_or(&self.table).memory()
    }

    /// The number of its descriptors.
    pub(crate) fn size(&self) -> u16 {
        self.vring.get_ref().get_queue().size()
    }

    /// How quickly the ring's recent requests were served.
    pub(crate) fn coalescing(&self) -> &Coalescing {
        &self.coalescing
    }

    /// Takes the next request off the available ring.
    ///
    /// # Errors
    /// When the guest's indices make no sense or the ring is outside guest memory.
    pub(crate) fn pop(&self, memory: &Arc<TransportMemory>) -> Result<NextChain, QueueError> {
        let mut state = self.vring.get_mut();
        if !is_live(&state) {
            return Ok(NextChain::Nothing);
        }
        let at = position(&state);
        if at.parts_overlap() {
            return Ok(NextChain::Overlap);
        }
        // Checked first, so that no request is taken that could not be returned.
        used_ring_is_in(memory, &at)?;
        let size = at.size;
        let mut log = self.log();
        let mut resubmission = match &mut log {
            Some(log) => match self.resubmission(log, state.get_queue_mut(), memory) {
                Ok(resubmission) => resubmission,
                Err(head) => return Ok(NextChain::BadHead(head)),
            },
            None => None,
        };
        let resubmitted = resubmission.is_some();
        // One call of virtio-queue for both kinds of chain: the compiler inlines what has one caller.
        let (queue, table) = match &mut resubmission {
            Some(Resubmission { queue, table }) => (queue, &*table),
            None => (state.get_queue_mut(), memory),
        };
        let Some(chain) = queue.iter(Arc::clone(table))?.next() else {
            return Ok(NextChain::Nothing);
        };
        let head = HeadIndex(chain.head_index());
        if head.0 >= size {
            return Ok(NextChain::BadHead(head));
        }
        if self.batch.is_empty() {
            let waiting = waiting(state.get_queue(), memory);
            self.batch.begin(waiting, self.coalescing.mean());
        }
        Ok(match self.quiesce.admit(size) {
            Ok(guard) => {
                // A resubmitted request is in the log already.
                if let Some(log) = &mut log
                    && !resubmitted
                {
                    log.take(head);
                }
                NextChain::Chain {
                    chain,
                    guard,
                    resubmitted,
                }
            }
            Err(refused) => {
                match &mut log {
                    Some(log) if resubmitted => log.put_back(head),
                    _ => state.get_queue_mut().go_to_previous_position(),
                }
                match refused {
                    // The ring was stopped in between: the request belongs to the ring's next
                    // owner.
                    NotAdmitted::Stopped => NextChain::Nothing,
                    NotAdmitted::Full => NextChain::Surplus,
                }
            }
        })
    }

    /// Begins the log if that is due. Takes a request of an earlier daemon, if one is left; returns
    /// its head as an error if its chain cannot be made.
    #[inline(never)]
    fn resubmission(
        &self,
        log: &mut RingLog,
        queue: &mut Queue,
        memory: &TransportMemory,
    ) -> Result<Option<Resubmission>, HeadIndex> {
        if log.is_due() {
            log.begin_on(queue);
            self.logs.store(log.is_kept(), Ordering::Relaxed);
        }
        let Some(head) = log.next_again() else {
            return Ok(None);
        };
        match Resubmission::of(queue, memory, head) {
            Some(resubmission) => Ok(Some(resubmission)),
            None => Err(head),
        }
    }

    /// Puts a request on the used ring, notifies the guest now or later unless it asked for no
    /// interrupt, and gives up the request's right to the ring.
    ///
    /// # Errors
    /// When the used ring is outside guest memory.
    pub(crate) fn complete(
        &self,
        guard: InFlightGuard,
        head: HeadIndex,
        len: u32,
        notify: Notify,
    ) -> Result<(), QueueError> {
        let mut state = self.vring.get_mut();
        let queue = state.get_queue_mut();
        let log = self.log();
        if let Some(log) = &log {
            log.begin_return(head);
        }
        let result = queue.add_used(&*self.memory(), head.0, len);
        if let Some(log) = log {
            log.end_return(head, queue.next_used());
        }
        let enough = self.batch.add();
        if enough || notify == Notify::Now {
            self.notify_locked(&mut state);
        }
        // Dropped before the lock is released: once the guest can reuse the descriptors, the
        // request must not count any more.
        drop(guard);
        drop(state);
        result
    }

    /// Notifies the guest of all requests that were returned, unless it asked for no interrupt.
    pub(crate) fn notify(&self) {
        if !self.batch.is_empty() {
            self.notify_locked(&mut self.vring.get_mut());
        }
    }

    /// Whether the guest was notified of all requests that the calling thread has returned.
    pub(crate) fn is_notified(&self) -> bool {
        self.batch.is_empty()
    }

    /// [`Self::is_notified`] for the requests of all threads, at the moment at which this takes the
    /// vring's lock.
    pub(crate) fn is_notified_under_lock(&self) -> bool {
        let _state = self.vring.get_ref();
        self.batch.is_empty()
    }

    /// The pending batch, as far as is known without the vring's lock.
    pub(crate) fn pending_batch(&self) -> Option<BatchNumber> {
        self.batch.number()
    }

    fn notify_locked(&self, state: &mut VringState<AtomicMemory>) {
        // If the used_event index cannot be read, notify: an extra interrupt is harmless, a missing one
        // is not.
        if self.batch.take() == 0 {
            return;
        }
        let wanted = state.get_queue_mut().needs_notification(&*self.memory());
        if wanted.unwrap_or(true) {
            self.signal(state);
        }
    }

    /// Whether a request is on the available ring; none if the ring is stopped, or its index can't be
    /// read.
    pub(crate) fn has_request(&self) -> Option<bool> {
        let state = self.vring.get_ref();
        if !is_live(&state) {
            return None;
        }
        let queue = state.get_queue();
        let available = queue.avail_idx(&*self.memory(), Ordering::Acquire).ok()?;
        Some(available.0 != queue.next_avail())
    }

    /// Asks the guest not to kick while the ring is being served.
    pub(crate) fn disable_notification(&self) -> Result<(), QueueError> {
        let mut state = self.vring.get_mut();
        if is_live(&state) {
            let queue = state.get_queue_mut();
            queue.disable_notification(&*self.memory())
        } else {
            Ok(())
        }
    }

    /// Asks for kicks again; true if requests arrived meanwhile.
    pub(crate) fn enable_notification(&self) -> Result<bool, QueueError> {
        let mut state = self.vring.get_mut();
        if is_live(&state) {
            let queue = state.get_queue_mut();
            queue.enable_notification(&*self.memory())
        } else {
            Ok(false)
        }
    }

    /// Ends the ring's epoch for `RESET_DEVICE`; returns when no request is on it.
    pub(crate) fn reset(&self) {
        self.quiesce.reset();
    }

    /// Closes the ring when the daemon ends. Returns when no request is on the ring, or at
    /// `deadline`; then it returns how many still are.
    pub(crate) fn close(&self, deadline: Instant) -> usize {
        self.quiesce.close(deadline)
    }

    fn signal(&self, state: &VringState<AtomicMemory>) {
        if state.get_call().is_none() {
            self.pending_notification.store(true, Ordering::Relaxed);
        } else if let Err(error) = state.signal_used_queue() {
            static LOG_LIMIT: LogLimit = LogLimit::new();
            LOG_LIMIT.warn(format_args!("cannot signal the guest: {error}"));
        }
    }

    /// Called after the front end started, stopped, enabled or disabled the ring.
    fn follow(&self) {
        let state = self.vring.get_ref();
        let live = is_live(&state);
        if live {
            self.log.lock().start();
            self.logs.store(true, Ordering::Relaxed);
            self.quiesce.start(position(&state));
        }
        self.pause.follow(live);
    }
}

/// Fails if the used ring is not in `memory`.
fn used_ring_is_in(memory: &TransportMemory, at: &Position) -> Result<(), QueueError> {
    let (used, len) = (GuestAddress(at.used_ring), at.used_len());
    // One region usually has the whole ring. The check of a range would take three times as long.
    let in_one = memory
        .to_region_addr(used)
        .is_some_and(|(region, offset)| region.len() - offset.0 >= len as u64);
    if in_one || memory.check_range(used, len) {
        return Ok(());
    }
    Err(QueueError::GuestMemory(
        GuestMemoryError::InvalidGuestAddress(used),
    ))
}

/// The number of requests on the available ring, 0 if that cannot be read. The caller bounds the
/// value, since the guest can set any index.
fn waiting(queue: &Queue, memory: &TransportMemory) -> u16 {
    let available = queue.avail_idx(memory, Ordering::Relaxed);
    available.map_or(0, |index| index.0.wrapping_sub(queue.next_avail()))
}

/// The ring is set up and enabled: the spec's "started and enabled".
fn is_live(state: &VringState<AtomicMemory>) -> bool {
    state.get_queue().ready() && state.is_enabled()
}

fn position(state: &VringState<AtomicMemory>) -> Position {
    let queue = state.get_queue();
    Position {
        desc_table: queue.desc_table(),
        avail_ring: queue.avail_ring(),
        used_ring: queue.used_ring(),
        size: queue.size(),
        next_avail: queue.next_avail(),
        next_used: queue.next_used(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
