// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest that has nothing to do while it is another's turn.
//!
//! It is not stopped: its clock would jump by as much when it goes on, which Linux takes for a stall.

use anyhow::{Context as _, Result};
use qemu_guest::vm::{Parts, Vm, VmSpec};

/// A guest with a name. Dropping it kills it and its daemon.
pub struct Standing {
    name: String,
    vm: Vm,
}

impl Standing {
    /// Boots it, and lets something be made ready in it.
    ///
    /// # Errors
    ///
    /// If anything of it fails. Nothing is left then.
    pub async fn start<R>(
        name: &str,
        parts: &Parts,
        spec: VmSpec,
        ready: impl AsyncFnOnce(&Vm) -> Result<R>,
    ) -> Result<(Self, R)> {
        let vm = Vm::boot(parts, spec).await;
        let vm = vm.with_context(|| format!("{name}: the guest did not boot"))?;
        let made = ready(&vm).await.with_context(|| {
            let problems = vm.agent().boot().problems.join("\n");
            let console = vm.guest().console_tail();
            format!("{name}: {problems}\nthe guest's console:\n{console}")
        })?;
        let name = name.to_owned();
        Ok((Self { name, vm }, made))
    }

    /// The guest.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The daemon's command line; empty if there is none.
    pub fn command(&self) -> String {
        let daemon = self.vm.daemons().first();
        daemon
            .map(|daemon| daemon.command_line().to_string())
            .unwrap_or_default()
    }

    /// Ends it in good order.
    ///
    /// # Errors
    ///
    /// If it does not end, or not without an error.
    pub async fn end(self) -> Result<()> {
        let Self { name, vm } = self;
        vm.power_off()
            .await
            .with_context(|| format!("{name}: the guest's end"))
    }
}
