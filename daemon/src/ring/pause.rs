// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Withholds messages about the window while the VMM has the device stopped.
//!
//! QEMU 11.1.2 ends with a segmentation fault when it finds a `SHMEM_MAP` or `SHMEM_UNMAP` on the
//! back-end channel after `vhost_dev_stop`: it looks for the region in a device pointer that is
//! null until `vhost_dev_start`. Between the two a call waits here, on the thread of the request
//! that makes it, and is sent when the rings are enabled again.
//!
//! The device stops with the first of its running rings that stops, and runs again with the first
//! ring that starts. A ring that does not run and is disabled, or enabled without being set up, says
//! nothing: the next driver may use fewer rings than the one before, and QEMU enables them all.
//!
//! What remains is a message that was sent when QEMU had already decided to stop. The daemon
//! cannot take it back.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use shared_window::{Access, FileOffset, Vmm, VmmError, WindowOffset};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopped,
    Closed,
}

/// The place of a start or stop in the order of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl Moment {
    fn now() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

struct State {
    phase: Phase,
    stopped_at: Moment,
}

/// Whether the VMM can be asked now.
pub(crate) struct Pause {
    state: Mutex<State>,
    changed: Condvar,
}

impl Pause {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Running,
                stopped_at: Moment(0),
            }),
            changed: Condvar::new(),
        }
    }

    /// The VMM began to stop the device. Waits for nothing.
    fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped_at = Moment::now();
        self.set(&mut state, Phase::Stopped);
    }

    /// The VMM started the device at this moment, if it has not stopped it since.
    fn start(&self, at: Moment) {
        let mut state = self.state.lock();
        if at > state.stopped_at {
            self.set(&mut state, Phase::Running);
        }
    }

    /// The VMM is gone; calls that wait fail.
    pub(crate) fn close(&self) {
        self.set(&mut self.state.lock(), Phase::Closed);
    }

    fn set(&self, state: &mut State, to: Phase) {
        if state.phase != Phase::Closed {
            state.phase = to;
            self.changed.notify_all();
        }
    }

    fn wait(&self) -> Result<(), VmmError> {
        let mut state = self.state.lock();
        self.changed
            .wait_while(&mut state, |state| state.phase == Phase::Stopped);
        match state.phase {
            Phase::Closed => Err(VmmError::NoChannel),
            Phase::Running | Phase::Stopped => Ok(()),
        }
    }
}

/// What one ring tells a [`Pause`].
#[derive(Default)]
pub(crate) struct RingPause {
    ring: Mutex<RingState>,
}

#[derive(Default)]
struct RingState {
    /// Since when the ring has been running, if it is.
    started: Option<Moment>,
    pause: Option<Arc<Pause>>,
}

impl RingPause {
    /// Lets `pause` stop and start with the ring, the first time it is called. A start that came
    /// before is told now.
    pub(crate) fn attach(&self, pause: &Arc<Pause>) {
        let mut ring = self.ring.lock();
        if ring.pause.is_none() {
            ring.pause = Some(Arc::clone(pause));
            if let Some(started) = ring.started {
                pause.start(started);
            }
        }
    }

    /// The VMM has changed the ring, which is running now or not. Waits for nothing.
    pub(crate) fn follow(&self, running: bool) {
        let mut ring = self.ring.lock();
        if running == ring.started.is_some() {
            return;
        }
        ring.started = running.then(Moment::now);
        if let Some(pause) = &ring.pause {
            ring.started
                .map_or_else(|| pause.stop(), |at| pause.start(at));
        }
    }
}

/// A VMM that is asked only while it has the device running.
pub(crate) struct PausedVmm<M> {
    vmm: M,
    pause: Arc<Pause>,
}

impl<M> PausedVmm<M> {
    pub(crate) fn new(vmm: M, pause: Arc<Pause>) -> Self {
        Self { vmm, pause }
    }
}

impl<M: Vmm> Vmm for PausedVmm<M> {
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError> {
        self.pause.wait()?;
        self.vmm.map(at, len, view, from, access)
    }

    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError> {
        self.pause.wait()?;
        self.vmm.unmap(at, len)
    }

    /// Not withheld: it is no message about the window, and the mapping that it confirms has been
    /// made or refused.
    fn fence(&self) -> Result<(), VmmError> {
        self.vmm.fence()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared_window::{Vmm, VmmError, WindowOffset, WindowSize};

    use super::{Pause, PausedVmm, RingPause};
    use crate::testing::{HeldVmm, begun_in_background, expect, expect_to_wait};

    fn unmap(pause: &Arc<Pause>) -> impl FnOnce() -> Result<(), VmmError> + use<> {
        let size = WindowSize::new(1 << 20).expect("a power of two");
        let vmm = PausedVmm::new(HeldVmm::new(size), Arc::clone(pause));
        move || vmm.unmap(WindowOffset(0), 4096)
    }

    /// Rings that have been served, so many of them running.
    fn rings<const N: usize>(pause: &Arc<Pause>, running: usize) -> [RingPause; N] {
        std::array::from_fn(|nth| {
            let ring = RingPause::default();
            ring.follow(nth < running);
            ring.attach(pause);
            ring
        })
    }

    #[test]
    fn a_call_waits_while_the_device_is_stopped() {
        let pause = Arc::new(Pause::new());
        let [ring] = rings(&pause, 1);
        ring.follow(false);
        let called = begun_in_background(unmap(&pause));
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        ring.follow(true);
        let answer = expect(&called, "the call after the start");
        assert!(
            matches!(answer, Err(VmmError::NotMapped { .. })),
            "{answer:?}"
        );
    }

    #[test]
    fn a_call_fails_when_the_vmm_is_gone() {
        let pause = Arc::new(Pause::new());
        let [ring] = rings(&pause, 1);
        ring.follow(false);
        let called = begun_in_background(unmap(&pause));
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        pause.close();
        let answer = expect(&called, "the call to fail");
        assert!(matches!(answer, Err(VmmError::NoChannel)), "{answer:?}");
        ring.follow(true);
        assert!(unmap(&pause)().is_err(), "closed for good");
    }

    #[test]
    fn the_device_stops_with_the_first_ring() {
        let pause = Arc::new(Pause::new());
        let [first, second] = rings(&pause, 2);
        first.follow(false);
        let called = begun_in_background(unmap(&pause));
        expect_to_wait(&called, "one ring was still running");
        second.follow(false);
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        first.follow(true);
        expect(&called, "the call after the start").expect_err("nothing is mapped");
    }

    #[test]
    fn a_ring_that_the_next_driver_does_not_use_keeps_nothing_stopped() {
        let pause = Arc::new(Pause::new());
        let all: [_; 3] = rings(&pause, 3);
        all.iter().for_each(|ring| ring.follow(false));
        // Set up and enabled, and the others enabled only.
        for running in [true, false, false] {
            all[usize::from(!running)].follow(running);
        }
        let called = begun_in_background(unmap(&pause));
        expect(&called, "the call after the start").expect_err("nothing is mapped");
    }

    #[test]
    fn a_ring_that_no_driver_has_used_before_starts_the_device() {
        let pause = Arc::new(Pause::new());
        let [old] = rings(&pause, 1);
        let new = RingPause::default();
        new.follow(true);
        old.follow(false);
        new.attach(&pause);
        let called = begun_in_background(unmap(&pause));
        expect_to_wait(
            &called,
            "the ring was running before the device was stopped",
        );
        new.follow(false);
        new.follow(true);
        expect(&called, "the call after the start").expect_err("nothing is mapped");
        old.follow(true);
        old.follow(false);

        let newest = RingPause::default();
        newest.follow(true);
        newest.attach(&pause);
        let called = begun_in_background(unmap(&pause));
        expect(&called, "its first request comes late").expect_err("nothing is mapped");
    }
}
