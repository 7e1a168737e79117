// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM that answers when the test lets it, as QEMU does while it waits for the control thread.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use shared_window::{Access, FileOffset, ProcessWindow, Vmm, VmmError, WindowOffset, WindowSize};

use super::MUST_HAPPEN;

#[derive(Default)]
struct State {
    held: bool,
    waiting: usize,
}

/// Maps into this process, but only while it is not held.
pub(crate) struct HeldVmm {
    pub(crate) window: ProcessWindow,
    state: Mutex<State>,
    changed: Condvar,
}

impl HeldVmm {
    pub(crate) fn new(size: WindowSize) -> Arc<Self> {
        Arc::new(Self {
            window: ProcessWindow::new(size).expect("a window in this process"),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Withholds answers from now on.
    pub(crate) fn hold(&self) {
        self.state.lock().held = true;
    }

    /// Gives the answers that were withheld.
    pub(crate) fn release(&self) {
        self.state.lock().held = false;
        self.changed.notify_all();
    }

    /// Returns when a call waits for its answer.
    pub(crate) fn wait_for_a_call(&self) {
        let mut state = self.state.lock();
        let waited =
            self.changed
                .wait_while_for(&mut state, |state| state.waiting == 0, MUST_HAPPEN);
        assert!(
            !waited.timed_out(),
            "waited {MUST_HAPPEN:?} for a call to the VMM"
        );
    }

    fn answer(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| state.held);
        state.waiting -= 1;
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
