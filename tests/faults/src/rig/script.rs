// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the VMM does with the next call.

use anyhow::{Result, ensure};
use virtiofs_driver::Script;
use virtiofs_driver::window::{Action, CallKind, Gate};

use super::{Rig, STEP_LIMIT};

/// A gate that is opened when this is dropped, so that nobody waits for ever after a failure.
#[derive(Debug, Default)]
pub struct Held(Gate);

impl Held {
    /// Held until then.
    pub fn new() -> Self {
        Self::default()
    }

    /// The gate, for an action.
    pub fn gate(&self) -> Gate {
        self.0.clone()
    }

    /// Waits until the VMM has come to the gate.
    ///
    /// # Errors
    /// If it does not.
    pub fn wait_until_reached(&self) -> Result<()> {
        let reached = self.0.wait_until_reached(STEP_LIMIT);
        ensure!(reached, "no call came to the gate within {STEP_LIMIT:?}");
        Ok(())
    }

    /// Lets it go on.
    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Rig {
    /// The next call of this kind gets this action; all others are served.
    pub fn next_call(&self, kind: CallKind, action: Action) {
        let mut action = Some(action);
        self.vm.set_script(Script::new(move |call| {
            let now = call.kind == kind;
            now.then(|| action.take()).flatten().unwrap_or_default()
        }));
    }

    /// All calls of these kinds are refused.
    pub fn refuse_all(&self, kinds: &'static [CallKind]) {
        self.vm.set_script(Script::new(|call| {
            if kinds.contains(&call.kind) {
                Action::Refuse(libc::EFAULT)
            } else {
                Action::Proceed
            }
        }));
    }

    /// All calls are served.
    pub fn serve_all(&self) {
        self.vm.set_script(Script::default());
    }
}
