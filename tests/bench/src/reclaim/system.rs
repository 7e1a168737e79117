// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A system under test: a side with its guest.

use std::path::PathBuf;

use anyhow::Result;
use guest_agent::workload::{Files, Make, TRACEFS};
use qemu_guest::accel::AccelChoice;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::{Vm, VmSpec, Worker};
use virtiofs_driver::daemon::Usage;

use super::{Fixture, Side};
use crate::guests::{IdleGuest, KernelParts};
use crate::system::ProcessTree;

/// The mount point in the guest.
const MOUNT_POINT: &str = "/mnt/files";
/// A kernel that has lost a task to an oops must not go on: its later results mean nothing.
const APPEND: [&str; 2] = ["quiet", "oops=panic"];
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
        if let Some(fs) = side.image() {
            spec.pmem.push(fixture.image(fs, &name)?);
        }
        if side == Side::Image {
            spec.pmem.push(fixture.image_of_share());
        }
        let (guest, worker) = IdleGuest::start(&name, &kernel.parts, spec, async |vm: &Vm| {
            let (source, kind, options) = side.file_system();
            vm.mount_device(source, MOUNT_POINT, kind, options).await?;
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
