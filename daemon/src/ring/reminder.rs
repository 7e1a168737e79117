// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Notifies the guest of finished requests if the next request takes long.
//!
//! Quick requests are notified in batches (see [`crate::ring::coalescing`] and
//! [`crate::ring::batch`]), by the thread that serves them. Any request may turn out to wait, for a
//! disk, a lease, or a server that hangs, and would delay the notification of those before it. So a
//! separate thread checks every [`TICK`] whether the batch of the last check is still pending, and
//! notifies the guest of it.
//!
//! The thread sleeps while each request is notified at once, or there is none. The check whether to
//! wake it costs one load for each request that follows a pending one.
//!
//! Owner: the device. The lock order is the reminder, then a vring.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::threads::ThreadsError;
use crate::ring::vring::{BatchNumber, Ring};

/// A finished request waits at most two ticks.
const TICK: Duration = Duration::from_millis(5);
/// After this many ticks without a pending notification the thread goes to sleep.
const QUIET_TICKS: u32 = 20;

#[derive(Default)]
struct State {
    /// The rings, and what was pending on each at the last look.
    rings: Vec<(Ring, Option<BatchNumber>)>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    asleep: AtomicBool,
}

/// See the module's documentation. The thread ends when this is dropped or closed.
pub(crate) struct Reminder(Arc<Shared>);

impl Reminder {
    /// Starts the thread; a panic in it ends the session by `fatal_error`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(fatal_error: Arc<FatalErrorLatch>) -> Result<Self, ThreadsError> {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("remind".to_owned());
        let work = move || {
            fatal_error.guard(|| {
                theirs.work();
                Ok(())
            });
        };
        thread.spawn(work).map_err(ThreadsError::Reminder)?;
        Ok(Self(shared))
    }

    /// Adds `ring` to the rings to watch.
    pub(crate) fn watch(&self, ring: &Ring) {
        self.0.state.lock().rings.push((ring.clone(), None));
    }

    /// Called by a thread before it serves a request. If the ring has a pending notification, the
    /// reminder watches it from now on.
    pub(crate) fn look_after(&self, ring: &Ring) {
        // No fence is needed. If the reminder went to sleep earlier, the calling thread has held
        // the vring's lock since. If it goes to sleep later, it finds the pending request (see
        // `Shared::nothing_is_pending`).
        if !ring.is_notified() && self.0.asleep.load(Ordering::Relaxed) {
            self.0.wake();
        }
    }

    /// Ends the thread.
    pub(crate) fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.wake();
    }
}

impl Drop for Reminder {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn wake(&self) {
        let state = self.state.lock();
        self.asleep.store(false, Ordering::Relaxed);
        drop(state);
        self.changed.notify_one();
    }

    fn work(&self) {
        let mut quiet = 0;
        let mut state = self.state.lock();
        while !state.closed {
            if quiet < QUIET_TICKS {
                self.changed.wait_for(&mut state, TICK);
                quiet = if look(&mut state.rings) { 0 } else { quiet + 1 };
                continue;
            }
            self.asleep.store(true, Ordering::Relaxed);
            if nothing_is_pending(&state.rings) {
                let asleep =
                    |state: &mut State| !state.closed && self.asleep.load(Ordering::Relaxed);
                self.changed.wait_while(&mut state, asleep);
            }
            self.asleep.store(false, Ordering::Relaxed);
            quiet = 0;
        }
    }
}

/// Notifies the guest of each batch that was pending at the last look and still is. Returns whether
/// any batch is pending.
fn look(rings: &mut [(Ring, Option<BatchNumber>)]) -> bool {
    let mut any = false;
    for (ring, seen) in rings {
        let pending = ring.pending_batch();
        if pending.is_some() && pending == *seen {
            ring.notify();
        }
        any |= pending.is_some();
        *seen = pending;
    }
    any
}

/// Takes each vring's lock for a moment. So a request that a thread left pending before is seen
/// here, and a thread that leaves one pending later sees that the reminder is asleep.
fn nothing_is_pending(rings: &[(Ring, Option<BatchNumber>)]) -> bool {
    rings.iter().all(|(ring, _)| ring.is_notified_under_lock())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::vring::Notify;
    use crate::ring::vring::tests::Case;
    use crate::testing::wait_until;

    #[test]
    fn a_request_that_is_left_untold_is_told_of() {
        let mut case = Case::new();
        let reminder = Reminder::start(Arc::default()).expect("a thread");
        reminder.watch(&case.ring);
        for round in 0..3 {
            let mut calls = case.serve(Notify::Later);
            reminder.look_after(&case.ring);
            wait_until("the guest to be called", || {
                calls += case.calls();
                calls > 0
            });
            assert_eq!(calls, 1, "round {round}");
            // The next round has to wake the reminder.
            wait_until("it to sleep", || reminder.0.asleep.load(Ordering::Relaxed));
        }
    }

    #[test]
    fn nothing_is_looked_after_that_is_told_at_once() {
        let mut case = Case::new();
        let reminder = Reminder::start(Arc::default()).expect("a thread");
        reminder.watch(&case.ring);
        let asleep = || reminder.0.asleep.load(Ordering::Relaxed);
        wait_until("it to sleep", asleep);
        assert_eq!(case.serve(Notify::Now), 1);
        reminder.look_after(&case.ring);
        assert!(asleep(), "woken for nothing");
    }

    #[test]
    fn it_ends_with_the_device() {
        let reminder = Reminder::start(Arc::default()).expect("a thread");
        let shared = Arc::downgrade(&reminder.0);
        wait_until("it to sleep", || reminder.0.asleep.load(Ordering::Relaxed));
        drop(reminder);
        wait_until("its thread to end", || shared.strong_count() == 0);
    }
}
