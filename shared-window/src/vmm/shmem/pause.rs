// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Delays messages about the window while the VMM has the device stopped.
//!
//! QEMU 11.1.2 ends with a segmentation fault when it finds a `SHMEM_MAP` or `SHMEM_UNMAP` on the
//! back-end channel after `vhost_dev_stop`: it looks for the region in a device pointer that is
//! null until `vhost_dev_start`. Between the two a call waits here, on its own thread, and is sent
//! when the device runs again.
//!
//! One gap remains: a message that was sent when QEMU had already decided to stop. The daemon
//! cannot recall it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::vmm::VmmError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopped,
    Closed,
}

/// The position of a start or stop of the device in the order of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// A moment after all earlier ones.
    pub fn now() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[derive(Debug)]
struct State {
    phase: Phase,
    stopped_at: Moment,
}

/// Whether requests may be sent to the VMM now.
#[derive(Debug)]
pub(super) struct Pause {
    state: Mutex<State>,
    changed: Condvar,
}

impl Default for Pause {
    /// The device runs.
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Running,
                stopped_at: Moment(0),
            }),
            changed: Condvar::new(),
        }
    }
}

impl Pause {
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped_at = Moment::now();
        self.set(&mut state, Phase::Stopped);
    }

    pub(super) fn start(&self, at: Moment) {
        let mut state = self.lock();
        if at > state.stopped_at {
            self.set(&mut state, Phase::Running);
        }
    }

    /// Lets all waiting and later calls fail.
    pub(super) fn close(&self) {
        self.set(&mut self.lock(), Phase::Closed);
    }

    fn set(&self, state: &mut State, to: Phase) {
        if state.phase != Phase::Closed {
            state.phase = to;
            self.changed.notify_all();
        }
    }

    /// Waits while the device is stopped.
    pub(super) fn wait(&self) -> Result<(), VmmError> {
        let stopped = |state: &mut State| state.phase == Phase::Stopped;
        let waited = self.changed.wait_while(self.lock(), stopped);
        match waited.unwrap_or_else(PoisonError::into_inner).phase {
            Phase::Closed => Err(VmmError::NoChannel),
            Phase::Running | Phase::Stopped => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the lock held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
