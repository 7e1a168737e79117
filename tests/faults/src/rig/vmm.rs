// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the VMM does: its changes of the device, and its action for the next call.

use anyhow::{Result, ensure};
use virtiofs_driver::Script;
use virtiofs_driver::window::{Action, CallKind, Gate};

use super::{Rig, STEP_LIMIT};

impl Rig {
    /// Pauses and resumes the VM.
    pub fn pause(&mut self) -> Result<()> {
        self.watch.step("stop the device");
        self.vm.stop()?;
        self.watch.step("start the device");
        Ok(self.vm.start()?)
    }

    /// Resets the guest, which then mounts again: the mappings are gone, and no byte is lost.
    pub fn reset(&mut self) -> Result<()> {
        self.watch.step("reset the device");
        self.vm.reset()?;
        for client in &mut self.clients {
            client.pipeline().restart();
        }
        self.watch.step("start the device after a reset");
        self.vm.start()?;
        self.mount_anew()
    }

    /// umount and mount.
    pub fn remount(&mut self) -> Result<()> {
        self.watch.step("DESTROY");
        self.clients[0].destroy()?;
        self.mount_anew()
    }

    fn mount_anew(&mut self) -> Result<()> {
        self.shown.0.clear();
        self.watch.step("INIT");
        self.init()?;
        self.find_again(0)
    }
}

/// A gate that is opened on drop, so that no thread waits without end after a failure.
#[derive(Debug, Default)]
pub struct Held(Gate);

impl Held {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// The gate, for an action.
    pub fn gate(&self) -> Gate {
        self.0.clone()
    }

    /// Waits until the VMM waits at the gate.
    pub fn wait_until_reached(&self) -> Result<()> {
        let reached = self.0.wait_until_reached(STEP_LIMIT);
        ensure!(reached, "no call came to the gate within {STEP_LIMIT:?}");
        Ok(())
    }

    /// Opens the gate.
    pub fn release(self) {}
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Rig {
    /// Applies the action to the next call of this kind. All other calls are served.
    pub fn next_call(&self, kind: CallKind, action: Action) {
        let mut action = Some(action);
        self.vm.set_script(Script::new(move |call| {
            let now = call.kind == kind;
            now.then(|| action.take()).flatten().unwrap_or_default()
        }));
    }

    /// Refuses all calls of these kinds.
    pub fn refuse_all(&self, kinds: &'static [CallKind]) {
        self.vm.set_script(Script::new(|call| {
            if kinds.contains(&call.kind) {
                Action::Refuse(libc::EFAULT)
            } else {
                Action::Proceed
            }
        }));
    }

    /// Serves all calls.
    pub fn serve_all(&self) {
        self.vm.set_script(Script::default());
    }
}
