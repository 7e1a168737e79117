// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a QEMU makes of a window, found out by a guest: a version says nothing about a program that
//! somebody has patched, and a property nothing about what it is set to.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Parts, Vm, VmSpec};
use crate::vm::machine::ByteSize;
use crate::vm::process::Share;

/// The smallest window there is.
const WINDOW: ByteSize = ByteSize::mib(2);
/// What the daemon of a read-only share logs where its VMM maps a file as it is. It asks the VMM by
/// scratch memory, before it answers the guest's INIT.
const AS_IT_IS: &str = "the VMM maps files as they are";
/// What it logs where the VMM doesn't, or lets its guest store to it.
const NEEDS_VIEWS: &str = "no DAX: the share is read-only";
/// How long the daemon may take to log what it has answered to the guest.
const SAID_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at its log.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a QEMU makes of a device's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// Each mapping is a region of the machine's memory, as QEMU 11.1 makes it.
    Regions,
    /// All of it is one region, as this project's patches make it (qemu/patches/qemu).
    OneRegion,
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regions => "a memory region for each mapping",
            Self::OneRegion => "one memory region for all mappings",
        })
    }
}

impl Parts {
    /// Boots a guest with a read-only share and hears of its daemon what QEMU makes of the window.
    ///
    /// # Errors
    ///
    /// If the guest does not boot or mount, or the daemon does not say it.
    pub async fn window(&self) -> Result<WindowKind> {
        let folder = tempfile::tempdir().context("no folder to share")?;
        let share = Share {
            read_only: true,
            ..Share::new(folder.path(), "probe".parse()?).with_window(WINDOW)
        };
        let vm = Vm::boot(self, VmSpec::default().share(share)).await?;
        vm.mount("probe", "/mnt/probe", "").await?;
        let kind = heard(&vm).await?;
        vm.power_off().await?;
        Ok(kind)
    }
}

async fn heard(vm: &Vm) -> Result<WindowKind> {
    let log = vm.daemons()[0].log();
    let said = async {
        loop {
            let log = std::fs::read_to_string(log)?;
            if log.contains(AS_IT_IS) {
                return Ok(WindowKind::OneRegion);
            } else if log.contains(NEEDS_VIEWS) {
                return Ok(WindowKind::Regions);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    match tokio::time::timeout(SAID_DEADLINE, said).await {
        Ok(kind) => kind,
        Err(_elapsed) => {
            bail!("the daemon has not said in {SAID_DEADLINE:?} what QEMU makes of it")
        }
    }
}
