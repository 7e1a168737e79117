// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What must be true of a rig at rest.

use anyhow::{Context, Result};
use virtiofs_driver::Daemon;

use super::Rig;
use crate::checks::{bytes, gone, tables};
use crate::model::Slot;

impl Rig {
    /// Checks that no byte is lost or misplaced, and that model, VMM and daemon agree about the
    /// window.
    pub fn verify(&mut self) -> Result<()> {
        self.watch.step("compare");
        self.verify_bytes()?;
        tables::rules_were_kept(&self.window)?;
        tables::vmm_has(&self.window, &self.shown)?;
        tables::daemon_has(self)
    }

    /// Checks every byte of every file, on the host and through the window.
    pub fn verify_bytes(&mut self) -> Result<()> {
        for id in self.files.ids() {
            let file = self.files.get(id);
            bytes::on_host(self.daemon.share(), file)?;
        }
        let slots: Vec<Slot> = self.shown.0.keys().copied().collect();
        slots.into_iter().try_for_each(|slot| self.load(slot))
    }

    /// Removes all files, and checks that the daemon holds no more than before them.
    pub fn clear(&mut self) -> Result<()> {
        for id in self.files.ids() {
            self.remove(0, id)?;
        }
        tables::vmm_has(&self.window, &self.shown)?;
        self.watch.step("descriptors and mappings are given back");
        self.before.wait_until_back(&self.daemon)
    }

    /// Verifies, clears, disconnects the VM, and checks that nothing of the daemon is left.
    pub fn finish(mut self) -> Result<()> {
        self.verify()?;
        self.clear()?;
        self.leave()
    }

    /// Disconnects the VM, and checks that nothing of the daemon is left.
    pub fn leave(self) -> Result<()> {
        let (mut daemon, watch) = self.without_vm();
        watch.step("the daemon ends with its VMM");
        ended(&mut daemon, Some(0))
    }

    /// Drops the VM, like a VMM that ends.
    pub fn without_vm(self) -> (Daemon, super::Watch) {
        (self.daemon, self.watch)
    }
}

/// Waits until a daemon ends with this exit code, and checks that nothing is left.
pub fn ended(daemon: &mut Daemon, code: Option<i32>) -> Result<()> {
    let status = daemon.wait()?;
    let log = || format!("the daemon ended ({status}), its log:\n{}", daemon.log());
    anyhow::ensure!(status.code() == code, "not {code:?}: {}", log());
    gone::nothing_is_left(daemon).with_context(log)
}
