// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Withholds messages about the window while the VMM has the device stopped.
//!
//! QEMU 11.1.2 ends with a segmentation fault when it finds a `SHMEM_MAP` or `SHMEM_UNMAP` on the
//! back-end channel after `vhost_dev_stop`: it looks for the region in a device pointer that is
//! null until `vhost_dev_start`. Between the two a call waits here, on the thread of the request
//! that makes it, and is sent when the rings are enabled again.
//!
//! What remains is a message that was sent when QEMU had already decided to stop. The daemon
//! cannot take it back.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use shared_window::{Access, FileOffset, Vmm, VmmError, WindowOffset};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopped,
    Closed,
}

/// Whether the VMM can be asked now.
pub(super) struct Pause {
    phase: Mutex<Phase>,
    changed: Condvar,
}

impl Pause {
    pub(super) fn new() -> Self {
        Self {
            phase: Mutex::new(Phase::Running),
            changed: Condvar::new(),
        }
    }

    /// The VMM began to stop the device. Waits for nothing.
    pub(super) fn stop(&self) {
        self.set(Phase::Stopped);
    }

    /// The VMM has started the device.
    pub(super) fn start(&self) {
        self.set(Phase::Running);
    }

    /// The VMM is gone; calls that wait fail.
    pub(super) fn close(&self) {
        self.set(Phase::Closed);
    }

    fn set(&self, to: Phase) {
        let mut phase = self.phase.lock();
        if *phase != Phase::Closed {
            *phase = to;
            self.changed.notify_all();
        }
    }

    fn wait(&self) -> Result<(), VmmError> {
        let mut phase = self.phase.lock();
        self.changed
            .wait_while(&mut phase, |phase| *phase == Phase::Stopped);
        match *phase {
            Phase::Closed => Err(VmmError::NoChannel),
            Phase::Running | Phase::Stopped => Ok(()),
        }
    }
}

/// A VMM that is asked only while it has the device running.
pub(super) struct PausedVmm<M> {
    vmm: M,
    pause: Arc<Pause>,
}

impl<M> PausedVmm<M> {
    pub(super) fn new(vmm: M, pause: Arc<Pause>) -> Self {
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
    fn settle(&self) -> Result<(), VmmError> {
        self.vmm.settle()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shared_window::{Vmm, VmmError, WindowOffset, WindowSize};

    use super::{Pause, PausedVmm};
    use crate::testing::{HeldVmm, begun_in_background, expect, expect_to_wait};

    fn unmap(pause: &Arc<Pause>) -> impl FnOnce() -> Result<(), VmmError> + use<> {
        let size = WindowSize::new(1 << 20).expect("a power of two");
        let vmm = PausedVmm::new(HeldVmm::new(size), Arc::clone(pause));
        move || vmm.unmap(WindowOffset(0), 4096)
    }

    #[test]
    fn a_call_waits_while_the_device_is_stopped() {
        let pause = Arc::new(Pause::new());
        pause.stop();
        let called = begun_in_background(unmap(&pause));
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        pause.start();
        let answer = expect(&called, "the call after the start");
        assert!(
            matches!(answer, Err(VmmError::NotMapped { .. })),
            "{answer:?}"
        );
    }

    #[test]
    fn a_call_fails_when_the_vmm_is_gone() {
        let pause = Arc::new(Pause::new());
        pause.stop();
        let called = begun_in_background(unmap(&pause));
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        pause.close();
        let answer = expect(&called, "the call to fail");
        assert!(matches!(answer, Err(VmmError::NoChannel)), "{answer:?}");
        pause.start();
        assert!(unmap(&pause)().is_err(), "closed for good");
    }
}
