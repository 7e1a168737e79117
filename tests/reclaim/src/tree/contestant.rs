// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A side with its guest.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use dax_cases::host::pmem_image;
use qemu_guest::accel::AccelChoice;
use qemu_guest::artifacts::source_tools::BIN;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::{Vm, VmSpec, agent::ExecRequest};

use super::{Policy, Repository, chores::Chore, source::Shape};
use crate::host::{Family, KernelParts, MEMORY, Standing, mount_when_there};

/// The share's name.
pub(super) const TAG: &str = "tree";
/// Where a guest that works on a copy has the share meanwhile.
const ORIGINAL: &str = "/mnt/original";
/// Room for the tree and its history on persistent memory.
const IMAGE: ByteSize = ByteSize::mib(1024);
/// Where the guest has the tree.
const MOUNT_POINT: &str = "/mnt/tree";
/// How long a chore may take in an emulated guest: most wait for the daemon once a file.
const DEADLINE: Duration = Duration::from_secs(900);

/// A side with its guest.
pub struct Contestant {
    /// Its name in the results.
    pub name: String,
    guest: Standing,
    daemon: Option<Family>,
}

/// What a chore took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    pub(super) time: Duration,
    pub(super) daemon_cpu: Duration,
}

impl Contestant {
    /// Boots a guest and mounts the tree, or makes a copy of it.
    ///
    /// # Errors
    ///
    /// If anything of it fails. Nothing is left then.
    pub async fn start(
        name: String,
        policy: Policy,
        kernel: &KernelParts,
        repository: &Repository,
        window: ByteSize,
        virtiofsd: &Path,
        accel: AccelChoice,
    ) -> Result<Self> {
        let mut spec = VmSpec {
            accel,
            memory: MEMORY,
            ..VmSpec::default()
        };
        if let Some(fs) = policy.image() {
            spec.pmem
                .push(pmem_image(&repository.image(&name), fs, IMAGE)?);
        }
        let spec = spec.share(policy.share(&repository.path(), window, virtiofsd));
        let ready = async |vm: &Vm| match policy.copy() {
            None => vm.mount(TAG, MOUNT_POINT, "").await,
            Some(file_system) => copy(vm, file_system).await,
        };
        let (guest, ()) = Standing::start(&name, &kernel.parts, spec, ready).await?;
        let daemon = guest
            .vm()
            .daemons()
            .first()
            .map(|daemon| Family::of(daemon.pid()));
        Ok(Self {
            name,
            guest,
            daemon,
        })
    }

    /// The daemon's command line.
    pub fn command(&self) -> String {
        self.guest.command()
    }

    /// Does a chore twice: with empty caches, and once more.
    pub(super) async fn turn(
        &self,
        chore: Chore,
        shape: Shape,
        first: &mut Option<String>,
    ) -> Result<[Took; 2]> {
        let agent = self.guest.vm().agent();
        agent.sync().await?;
        agent
            .write_file("/proc/sys/vm/drop_caches", 0o200, b"3")
            .await?;
        let cold = self.once(chore, shape, first).await?;
        let warm = self.once(chore, shape, first).await?;
        Ok([cold, warm])
    }

    async fn once(&self, chore: Chore, shape: Shape, first: &mut Option<String>) -> Result<Took> {
        let cpu = || self.daemon.as_ref().map(Family::cpu).unwrap_or_default();
        let (before, began) = (cpu(), Instant::now());
        let request = chore.request(MOUNT_POINT, shape);
        let output = self
            .guest
            .vm()
            .agent()
            .run_within(DEADLINE, request, &[])
            .await?;
        let took = Took {
            time: began.elapsed(),
            daemon_cpu: cpu() - before,
        };
        let checked = chore.check(&output, shape, first.as_deref());
        ensure!(checked.is_ok(), "{}: {:#}", self.name, checked.unwrap_err());
        if chore == Chore::Compile {
            first.get_or_insert(output.stdout_text());
        }
        Ok(took)
    }

    /// Ends the guest in good order.
    ///
    /// # Errors
    ///
    /// If it does not end, or not without an error.
    pub async fn end(self) -> Result<()> {
        self.guest.end().await
    }
}

/// Makes a file system and copies the tree to it. Its files are other ones than the index knows, so
/// git looks at all of them once and notes it.
async fn copy(vm: &Vm, (source, kind, options): (&str, &str, &str)) -> Result<()> {
    mount_when_there(vm, source, MOUNT_POINT, kind, options).await?;
    vm.mount(TAG, ORIGINAL, "").await?;
    let copy = format!("cp -a {ORIGINAL}/. {MOUNT_POINT}/ && umount {ORIGINAL}");
    let refresh = format!("{BIN}/git -C {MOUNT_POINT} update-index -q --refresh");
    for line in [copy, refresh] {
        let request = ExecRequest::new(["sh", "-c", &line]).env("HOME", "/root");
        let output = vm.agent().run_within(DEADLINE, request, &[]).await?;
        let said = output.stderr_text();
        ensure!(output.status.success(), "{line}: {}: {said}", output.status);
    }
    Ok(())
}
