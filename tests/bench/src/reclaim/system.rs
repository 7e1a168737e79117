// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A system under test: a side with its guest.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use dax_cases::host::FileSystem;
use guest_agent::workload::{Files, Make, TRACEFS};
use qemu_guest::accel::AccelChoice;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::{Vm, VmSpec, Worker};
use tokio::time::{Instant, sleep};
use virtiofs_driver::daemon::Usage;

use super::{Fixture, Side};
use crate::guests::{IdleGuest, KernelParts};
use crate::system::ProcessTree;

/// The share's tag.
pub(super) const TAG: &str = "files";
/// The mount point in the guest.
const MOUNT_POINT: &str = "/mnt/files";
/// The part of the guest's memory that tmpfs may take.
const TMPFS: &str = "size=80%";
/// A kernel that has lost a task to an oops must not go on: its later results mean nothing.
const APPEND: [&str; 2] = ["quiet", "oops=panic"];
/// How long Linux may take to find its persistent memory.
const DEVICE_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks for a device; the guest's agent announces none.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A system under test.
pub struct SystemUnderTest {
    /// The server of the files.
    pub side: Side,
    pub(crate) worker: Worker,
    /// Its guest.
    pub guest: IdleGuest,
    pub(super) qemu: ProcessTree,
    pub(crate) metrics: Option<PathBuf>,
    made: Option<Files>,
}

impl SystemUnderTest {
    /// Boots a guest with this much memory, and mounts the files.
    ///
    /// # Errors
    ///
    /// If a step fails. Nothing is left behind then.
    pub async fn start(
        name: String,
        side: Side,
        kernel: &KernelParts,
        fixture: &Fixture,
        virtiofsd: &std::path::Path,
        (accel, memory): (AccelChoice, ByteSize),
    ) -> Result<Self> {
        let mut spec = VmSpec {
            accel,
            memory,
            append: APPEND.map(str::to_owned).into(),
            ..VmSpec::default()
        };
        let metrics = side.window().map(|_| fixture.metrics());
        spec.shares
            .extend(side.share(fixture.share(), virtiofsd, metrics.as_deref()));
        match side {
            Side::Ext4 => spec.pmem.push(fixture.image(FileSystem::Ext4, &name)?),
            Side::Xfs => spec.pmem.push(fixture.image(FileSystem::Xfs, &name)?),
            Side::Image => spec.pmem.push(fixture.image_of_share()),
            _ => {}
        }
        let (guest, worker) = IdleGuest::start(&name, &kernel.parts, spec, async |vm: &Vm| {
            mount(vm, side).await?;
            // For the counts. A kernel without tracefs has none of them.
            let tracefs = vm.agent().mount("tracefs", TRACEFS, "tracefs", "");
            tracefs.await.ok();
            Ok(Worker::start(vm.agent(), "guest's worker").await?)
        })
        .await?;
        let vm = guest.vm();
        Ok(Self {
            side,
            worker,
            qemu: ProcessTree::of(vm.guest().pid()),
            metrics,
            made: None,
            guest,
        })
    }

    /// The host memory of its processes: of QEMU and of all processes of the daemon.
    ///
    /// # Errors
    ///
    /// If one of them has ended.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let mut usage = self.qemu.usage()?;
        if let Some(daemon) = &self.guest.daemon {
            usage.0.extend(daemon.usage()?.0);
        }
        Ok(usage)
    }

    /// The folder of the files in the guest.
    pub(crate) fn dir(&self) -> String {
        MOUNT_POINT.to_owned()
    }

    /// Makes the files in the guest, unless the host has made them.
    pub(super) async fn make(&mut self, files: Files) -> Result<()> {
        if self.side.is_shared() || self.made.is_some_and(|made| covers(made, files)) {
            return Ok(());
        }
        let dir = self.dir();
        self.worker.ask(Make { dir, files }).await?;
        self.made = Some(files);
        Ok(())
    }

    /// Shuts the guest down.
    ///
    /// # Errors
    ///
    /// If the guest does not end, or ends with an error.
    pub async fn end(self) -> Result<()> {
        drop(self.worker);
        self.guest.end().await
    }
}

fn covers(made: Files, files: Files) -> bool {
    made.size == files.size && made.working >= files.working
}

async fn mount(vm: &Vm, side: Side) -> Result<()> {
    let (source, kind, options) = match side {
        Side::Window(_) => (TAG, "virtiofs", "dax=inode"),
        Side::NoWindow | Side::Virtiofsd(_) => (TAG, "virtiofs", ""),
        Side::Ext4 => ("/dev/pmem0", "ext4", "dax=always"),
        Side::Xfs => ("/dev/pmem0", "xfs", "dax=always"),
        // Several guests use the image, so none may write to it, not even to its journal.
        Side::Image => ("/dev/pmem0", "ext4", "ro,noload,dax=always"),
        Side::Tmpfs => ("tmpfs", "tmpfs", TMPFS),
    };
    mount_when_there(vm, source, MOUNT_POINT, kind, options).await
}

/// Mounts a file system in the guest once Linux has found its device.
pub(crate) async fn mount_when_there(
    vm: &Vm,
    source: &str,
    at: &str,
    kind: &str,
    options: &str,
) -> Result<()> {
    let deadline = Instant::now() + DEVICE_DEADLINE;
    while source.starts_with('/') && vm.agent().stat(source).await.is_err() {
        ensure!(
            Instant::now() < deadline,
            "the guest found no {source} in {DEVICE_DEADLINE:?}"
        );
        sleep(LOOK_AGAIN).await;
    }
    Ok(vm.agent().mount(source, at, kind, options).await?)
}
