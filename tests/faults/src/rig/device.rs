// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM's changes of the device, and the guest's restart.

use anyhow::Result;

use super::Rig;

impl Rig {
    /// Pauses and resumes the VM.
    ///
    /// # Errors
    /// If a step or a check fails.
    pub fn pause(&mut self) -> Result<()> {
        self.watch.step("stop the device");
        self.vm.stop()?;
        self.watch.step("start the device");
        Ok(self.vm.start()?)
    }

    /// Resets the guest, which then mounts again: the mappings are gone, and no byte is lost.
    ///
    /// # Errors
    /// If a step or a check fails.
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
    ///
    /// # Errors
    /// Whatever fails.
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
