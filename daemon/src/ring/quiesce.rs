// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Quiesces a ring: which requests may touch it, and when it may be stopped.
//!
//! QEMU stops a ring with `GET_VRING_BASE` and serves nothing else until it has the answer. From
//! then on the ring belongs to QEMU, so the answer must wait for the requests in flight. It must
//! *not* wait for a request that is inside a window operation: such a request waits for QEMU to
//! serve its `SHMEM_MAP`, so the two would deadlock. Nor may the answer wait for a request that
//! waits for a thread, since all threads may be in such operations: a request is taken off its ring
//! only when it has a thread ([`crate::ring::pool`]). So a request is in one of two places:
//!
//! ```text
//!                    enter_window                      leave_window
//!   admit ──▶ Ring ───────────────▶ Window ──────────────────────────▶ Ring ──▶ drop
//!             stop() waits          stop() does not wait      waits while the ring is stopped;
//!             for these             for these                 fails if it was started elsewhere
//! ```
//!
//! A request that waits for a lock of the host ([`crate::locks`]) is in the `Window` place, too: the
//! answer must not wait for other processes either.
//!
//! A ring goes through epochs:
//!
//! ```text
//!              start(position)                    start(same position): the epoch goes on
//!   Stopped ────────────────────▶ Running         start(other position), reset: a new epoch
//!      ▲                             │
//!      └──────── stop, reset ────────┘            close: from any phase to Closed, for good
//! ```
//!
//! A VM that is paused and continued resumes the same epoch, and requests that were in the window
//! meanwhile complete. After a device reset the ring starts elsewhere. A request of the old epoch is
//! [`Abandoned`] and touches neither ring nor guest memory again.
//!
//! Owner: [`crate::ring::vring::Ring`] drives the phases; the request's thread owns its
//! [`InFlightGuard`].

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// The position of a ring; the same position after a stop means that the VM was only paused.
///
/// The used index tells a paused ring from a new one whose available index happens to be equal:
/// a new ring starts with both equal, and with requests in flight the old one's differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) desc_table: u64,
    pub(crate) avail_ring: u64,
    pub(crate) used_ring: u64,
    pub(crate) size: u16,
    pub(crate) next_avail: u16,
    pub(crate) next_used: u16,
}

impl Position {
    /// Bytes of the used ring, with its event field (VIRTIO 1.3, 2.7).
    pub(crate) fn used_len(&self) -> usize {
        6 + 8 * usize::from(self.size)
    }

    /// Whether any two of the ring's parts have a byte in common (sizes: VIRTIO 1.3, 2.7, with the
    /// two event fields).
    pub(crate) fn parts_overlap(&self) -> bool {
        let size = u64::from(self.size);
        let table = (self.desc_table, 16 * size);
        let avail = (self.avail_ring, 6 + 2 * size);
        let used = (self.used_ring, self.used_len() as u64);
        [(table, avail), (table, used), (avail, used)]
            .into_iter()
            .any(|((a, a_len), (b, b_len))| {
                a < b.saturating_add(b_len) && b < a.saturating_add(a_len)
            })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Stopped,
    Running,
    Closed,
}

struct State {
    phase: Phase,
    epoch: u64,
    /// Requests in the `Ring` place.
    busy: usize,
    /// Requests of this epoch in any place.
    in_flight: usize,
    /// The ring's position when it was stopped.
    stopped_at: Option<Position>,
}

impl State {
    /// Begins a new epoch, which abandons the requests in the window.
    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.in_flight = 0;
    }
}

/// The epoch of this request's ring has ended: the request must touch neither ring nor guest
/// memory.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the ring was reset while the request was in flight")]
pub(crate) struct Abandoned;

/// Why a request is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    /// The ring is not running.
    Stopped,
    /// The number of requests in flight is the number of the ring's descriptors.
    Full,
}

/// What a request inside the window may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestState {
    /// Continue.
    Current,
    /// Wait: the ring is stopped, and may be resumed or reset.
    Paused,
    /// Drop the request.
    Abandoned,
}

/// See the module's documentation.
pub(crate) struct RingQuiesce {
    state: Mutex<State>,
    changed: Condvar,
}

impl RingQuiesce {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Stopped,
                epoch: 0,
                busy: 0,
                in_flight: 0,
                stopped_at: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Admits one request, while fewer than `size` are in flight. The caller holds the vring's
    /// lock, so that no request can be popped between the ring's stop and the wait for those in
    /// flight.
    ///
    /// The bound is the driver's own: each chain takes a descriptor of the ring's table until it is
    /// returned. Without it, a driver that offers descriptors again before that could occupy all threads
    /// of a large pool with one chain.
    pub(crate) fn admit(self: &Arc<Self>, size: u16) -> Result<InFlightGuard, NotAdmitted> {
        let mut state = self.state.lock();
        if state.phase != Phase::Running {
            return Err(NotAdmitted::Stopped);
        }
        if state.in_flight >= usize::from(size) {
            return Err(NotAdmitted::Full);
        }
        state.busy += 1;
        state.in_flight += 1;
        Ok(InFlightGuard {
            quiesce: Arc::clone(self),
            epoch: state.epoch,
            place: Place::Ring,
        })
    }

    /// Starts the ring, or resumes it if its position is the one at which it was stopped.
    pub(crate) fn start(&self, position: Position) {
        let mut state = self.state.lock();
        if state.phase != Phase::Stopped {
            return;
        }
        if state.stopped_at.take().is_some_and(|old| old != position) {
            state.begin_epoch();
        }
        state.phase = Phase::Running;
        self.changed.notify_all();
    }

    /// Stops the ring and returns when no request is in the `Ring` place.
    ///
    /// Calls `position` after that wait, since requests that complete still move the used index.
    pub(crate) fn stop(&self, position: impl FnOnce() -> Position) {
        if self.drain() {
            let position = position();
            self.state.lock().stopped_at = Some(position);
        }
    }

    /// Stops the ring like [`Self::stop`] and ends its epoch.
    pub(crate) fn reset(&self) {
        self.drain();
        let mut state = self.state.lock();
        state.begin_epoch();
        state.stopped_at = None;
        self.changed.notify_all();
    }

    /// Closes the ring: no request is admitted again, and those in the window are abandoned.
    /// Returns when no request is in the `Ring` place, or at `deadline`; then it returns how many
    /// still are.
    pub(crate) fn close(&self, deadline: Instant) -> usize {
        let mut state = self.state.lock();
        state.phase = Phase::Closed;
        self.changed.notify_all();
        let busy = |state: &mut State| state.busy > 0;
        self.changed.wait_while_until(&mut state, busy, deadline);
        state.busy
    }

    /// Returns whether the ring was running before.
    fn drain(&self) -> bool {
        let mut state = self.state.lock();
        let was_running = state.phase == Phase::Running;
        if was_running {
            state.phase = Phase::Stopped;
        }
        self.changed.wait_while(&mut state, |state| state.busy > 0);
        was_running
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ring,
    Window,
}

/// One request's right to its ring. The ring can be stopped once this is dropped.
pub(crate) struct InFlightGuard {
    quiesce: Arc<RingQuiesce>,
    epoch: u64,
    place: Place,
}

impl InFlightGuard {
    /// Leaves the ring for a window operation or a wait for a lock: from here on the ring may be
    /// stopped.
    ///
    /// Call it before taking any lock that a window operation holds.
    pub(crate) fn enter_window(&mut self) {
        let mut state = self.quiesce.state.lock();
        if self.place == Place::Ring {
            self.place = Place::Window;
            state.busy -= 1;
            self.quiesce.changed.notify_all();
        }
    }

    /// Whether the window operation may still be done.
    pub(crate) fn request_state(&self) -> RequestState {
        self.request_state_in(&self.quiesce.state.lock())
    }

    /// Blocks while the ring is stopped.
    ///
    /// # Errors
    /// When the ring's epoch ended: drop the request.
    pub(crate) fn wait_while_paused(&self) -> Result<(), Abandoned> {
        let mut state = self.quiesce.state.lock();
        self.quiesce.changed.wait_while(&mut state, |state| {
            self.request_state_in(state) == RequestState::Paused
        });
        match self.request_state_in(&state) {
            RequestState::Abandoned => Err(Abandoned),
            RequestState::Current | RequestState::Paused => Ok(()),
        }
    }

    /// Re-enters the ring after a window operation, once the ring is running.
    ///
    /// # Errors
    /// When the ring's epoch ended: drop the request.
    pub(crate) fn leave_window(&mut self) -> Result<(), Abandoned> {
        let mut state = self.quiesce.state.lock();
        self.quiesce.changed.wait_while(&mut state, |state| {
            self.request_state_in(state) == RequestState::Paused
        });
        if self.request_state_in(&state) == RequestState::Abandoned {
            return Err(Abandoned);
        }
        if self.place == Place::Window {
            self.place = Place::Ring;
            state.busy += 1;
        }
        Ok(())
    }

    fn request_state_in(&self, state: &State) -> RequestState {
        match state.phase {
            Phase::Closed => RequestState::Abandoned,
            _ if state.epoch != self.epoch => RequestState::Abandoned,
            Phase::Stopped => RequestState::Paused,
            Phase::Running => RequestState::Current,
        }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut state = self.quiesce.state.lock();
        if state.epoch == self.epoch {
            state.in_flight -= 1;
        }
        if self.place == Place::Ring {
            state.busy -= 1;
            self.quiesce.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
