// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Gates that delay the VMM.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// A gate. One thread waits at it until another thread opens it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the gate for good.
    pub fn open(&self) {
        self.0.0.lock().open = true;
        self.0.1.notify_all();
    }

    /// Waits until the VMM waits at this gate. False after `patience`.
    #[must_use]
    pub fn wait_until_reached(&self, patience: Duration) -> bool {
        let mut state = self.0.0.lock();
        let unreached = |state: &mut State| state.waiting == 0;
        let (lock, changed) = (&mut state, &self.0.1);
        !changed
            .wait_while_for(lock, unreached, patience)
            .timed_out()
    }

    /// Waits until the gate is open, or until `limit` has passed.
    pub fn pass(&self, limit: Option<Duration>) {
        let (lock, changed) = &*self.0;
        let mut state = lock.lock();
        state.waiting += 1;
        changed.notify_all();
        let closed = |state: &mut State| !state.open;
        match limit {
            Some(limit) => drop(changed.wait_while_for(&mut state, closed, limit)),
            None => changed.wait_while(&mut state, closed),
        }
        state.waiting -= 1;
    }
}

/// The gate that the VMM waits at. It is opened when the VM is dropped, so that the VMM does not
/// wait without end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held(Arc<Mutex<HeldState>>);

#[derive(Debug, Default)]
struct HeldState {
    at: Option<Gate>,
    closing: bool,
}

impl Held {
    /// Waits until the gate is open, or the VM is being dropped.
    pub(crate) fn wait_at(&self, gate: &Gate) {
        self.wait(gate, None);
    }

    /// Waits this long, or until the VM is being dropped.
    pub(crate) fn wait_for(&self, time: Duration) {
        if !time.is_zero() {
            self.wait(&Gate::new(), Some(time));
        }
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        let mut state = self.0.lock();
        state.closing = true;
        if let Some(gate) = state.at.take() {
            gate.open();
        }
    }

    fn wait(&self, gate: &Gate, limit: Option<Duration>) {
        let mut state = self.0.lock();
        if state.closing {
            return;
        }
        state.at = Some(gate.clone());
        drop(state);
        gate.pass(limit);
        self.0.lock().at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Held};
    use std::thread;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn closing_ends_every_wait() {
        let (held, gate) = (Held::default(), Gate::new());
        thread::scope(|scope| {
            let waits = scope.spawn(|| held.wait_at(&gate));
            assert!(gate.wait_until_reached(PATIENCE));
            assert!(!waits.is_finished());
            held.close();
        });
        held.wait_at(&Gate::new());
    }

    #[test]
    fn an_open_gate_blocks_no_thread() {
        let gate = Gate::new();
        assert!(!gate.wait_until_reached(Duration::ZERO));
        gate.open();
        Held::default().wait_at(&gate);
    }
}
