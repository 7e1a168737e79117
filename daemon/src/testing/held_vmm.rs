// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM that answers when the test lets it, as QEMU does while it waits for the control thread.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use shared_window::{Access, FileOffset, ProcessWindow, Vmm, VmmError, WindowOffset, WindowSize};
use virtiofs_driver::window::Gate;

use super::MUST_HAPPEN;

/// Maps into this process, but only while it is not held.
pub(crate) struct HeldVmm {
    pub(crate) window: ProcessWindow,
    held: Mutex<Option<Gate>>,
}

impl HeldVmm {
    pub(crate) fn new(size: WindowSize) -> Arc<Self> {
        Arc::new(Self {
            window: ProcessWindow::new(size).expect("a window in this process"),
            held: Mutex::default(),
        })
    }

    /// Withholds answers from now on.
    pub(crate) fn hold(&self) {
        *self.held.lock() = Some(Gate::new());
    }

    /// Gives the answers that were withheld.
    pub(crate) fn release(&self) {
        if let Some(gate) = self.held.lock().take() {
            gate.open();
        }
    }

    /// Returns when a call waits for its answer.
    pub(crate) fn wait_for_a_call(&self) {
        let gate = self.held.lock().clone().expect("answers are withheld");
        let reached = gate.wait_until_reached(MUST_HAPPEN);
        assert!(reached, "waited {MUST_HAPPEN:?} for a call to the VMM");
    }

    fn answer(&self) {
        let gate = self.held.lock().clone();
        if let Some(gate) = gate {
            gate.pass(None);
        }
    }
}

impl Vmm for HeldVmm {
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError> {
        self.answer();
        self.window.map(at, len, view, from, access)
    }

    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError> {
        self.answer();
        self.window.unmap(at, len)
    }
}
