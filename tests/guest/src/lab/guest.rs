// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A booted guest with its shares mounted.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use futures::future::{FutureExt as _, LocalBoxFuture, select_all};
use guest_agent::access::{FillPart, How, Part, VerifyPart};
use guest_agent::pattern::Seed;
use guest_agent::worker::Op;
use qemu_guest::vm::agent::Agent;
use qemu_guest::vm::process::Share;
use qemu_guest::vm::{Crash, Parts, Vm, Worker};
use tokio::time::timeout;

use super::{Boot, Host, Leftovers, Mounts, Shared};

/// How long a command in an emulated guest may take.
pub const COMMAND_TIME_OUT: Duration = Duration::from_secs(600);

/// How long the daemon may take to log an event.
const SAID_DEADLINE: Duration = Duration::from_secs(60);
/// Between two reads of the daemon's log.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long QEMU may take to die after a fatal action of its guest or of the host.
const DEATH_DEADLINE: Duration = Duration::from_secs(60);

/// A guest whose shares are mounted at `/mnt/TAG`.
///
/// A guest that is dropped before its end has failed, and its logs are kept.
pub struct Lab<'h> {
    host: &'h Host,
    vm: Option<Vm>,
    shares: Vec<Shared>,
    /// The host's mounts before the daemons were started.
    mounts: Mounts,
}

impl<'h> Lab<'h> {
    /// Boots with the run's kernel, or with that of `boot`, and mounts all shares.
    pub async fn start(host: &'h Host, boot: Boot) -> Result<Self> {
        let parts = match &boot.kernel {
            Some(kernel) => &host.parts_with(kernel.clone())?,
            None => &host.parts,
        };
        Self::start_with(host, parts, boot).await
    }

    /// Boots with these parts and mounts all shares.
    pub async fn start_with(host: &'h Host, parts: &Parts, boot: Boot) -> Result<Self> {
        let mounts = Mounts::now()?;
        let mut spec = boot.spec;
        spec.shares = boot.plans.iter().map(|plan| plan.share.clone()).collect();
        let vm = Vm::boot(parts, spec)
            .await
            .context("the guest did not boot")?;
        let shares = boot.plans.into_iter().map(|plan| Shared {
            tag: plan.share.tag.to_string(),
            _dir: plan.dir,
            _mounted: plan.mounted,
            settings: plan.share,
            mount_options: plan.mount_options,
        });
        let lab = Self {
            host,
            shares: shares.collect(),
            vm: Some(vm),
            mounts,
        };
        for share in &lab.shares {
            lab.mount(share).await?;
        }
        Ok(lab)
    }

    /// Mounts a share as its plan says.
    pub async fn mount(&self, share: &Shared) -> Result<()> {
        let options = &share.mount_options;
        self.vm()
            .mount(&share.tag, &share.mount_point(), options)
            .await
    }

    /// The share of this tag.
    pub fn share(&self, tag: &str) -> &Shared {
        let found = self.shares.iter().find(|share| share.tag == tag);
        found.expect("the group's boot has this share")
    }

    /// The parts that the guest was started from.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// All shares.
    pub fn shares(&self) -> &[Shared] {
        &self.shares
    }

    /// The first share, often the only one.
    pub fn first(&self) -> &Shared {
        self.shares.first().expect("the group's boot has a share")
    }

    /// QEMU and the daemons.
    pub fn vm(&self) -> &Vm {
        self.vm.as_ref().expect("a lab has its guest until it ends")
    }

    /// Starts another daemon for the first share, whose daemon is gone.
    pub async fn start_daemon_again(&mut self) -> Result<()> {
        let settings = self.vm_share();
        let vm = self.vm.as_mut().expect("a lab has its guest until it ends");
        vm.replace_daemon(0, &self.host.parts, &settings).await
    }

    /// The guest's agent.
    pub fn agent(&self) -> &Agent {
        self.vm().agent()
    }

    /// Runs a shell command line in the guest, which has to succeed. Returns its output.
    pub async fn sh(&self, line: &str) -> Result<String> {
        Ok(self.agent().check(["sh", "-c", line]).await?.stdout_text())
    }

    /// Has a new worker in the guest carry out the op.
    pub async fn op<O: Op>(&self, op: O) -> Result<O::Yield> {
        let mut worker = Worker::start(self.agent(), "guest's worker").await?;
        let done = worker.ask_within(COMMAND_TIME_OUT, op).await;
        // Files that the worker keeps open would disturb the next step.
        let ended = worker.end().await;
        let given = done?;
        ended?;
        Ok(given)
    }

    /// Whether a file of the guest really is in DAX mode. A test proves nothing on a mount that
    /// failed, or on a file that the policy left out.
    pub async fn uses_dax(&self, path: &str) -> Result<bool> {
        Ok(self.agent().stat(path).await?.dax())
    }

    /// Fails unless the file is in DAX mode.
    pub async fn expect_dax(&self, path: &str) -> Result<()> {
        ensure!(self.uses_dax(path).await?, "{path} is not in DAX mode");
        Ok(())
    }

    /// Writes a pattern to a part of a file in the guest.
    pub async fn fill(&self, path: &str, part: Part, seed: Seed, how: How) -> Result<()> {
        let path = path.into();
        self.op(FillPart {
            path,
            part,
            seed,
            how,
        })
        .await
    }

    /// Fails unless the part of the file holds the pattern.
    pub async fn verify(&self, path: &str, part: Part, seed: Seed, how: How) -> Result<()> {
        let doing = || format!("verify {path} by {how:?}: {part:?}");
        let verify = VerifyPart {
            path: path.into(),
            part,
            seed,
            how,
        };
        match self.op(verify).await.with_context(doing)? {
            None => Ok(()),
            Some(difference) => bail!("{}: {difference}", doing()),
        }
    }

    /// Waits for the end of QEMU or of a daemon, which fails a test that shares the guest.
    pub async fn gone(&self) -> Error {
        let daemons = self.vm().daemons().iter().enumerate();
        let daemons =
            daemons.map(|(index, daemon)| named(format!("daemon {index}"), daemon.gone()));
        let qemu = named("QEMU".to_owned(), self.vm().guest().gone());
        let (name, _, _) = select_all(daemons.chain([qemu])).await;
        anyhow!("{name} ended in the middle of the test")
    }

    /// The last lines of the guest's console, for the report of a failure.
    pub fn last_words(&self) -> String {
        let console = self.vm().guest().console_tail();
        format!("the guest's console ends with:\n{console}")
    }

    /// Keeps the logs as they are now.
    pub fn save_logs(&self) {
        self.host.save_logs(self.vm().dir());
    }

    /// Has the guest power itself off. QEMU and the daemons have to end without an error and to
    /// leave nothing behind.
    pub async fn end(mut self) -> Result<()> {
        self.save_logs();
        let leftovers = self.leftovers();
        self.take_vm().power_off().await?;
        leftovers.expect_none().await
    }

    /// Waits until QEMU has died. QEMU's output or its exit status has to contain `cause`, and
    /// nothing may stay behind.
    pub async fn dies_of(mut self, cause: &str) -> Result<()> {
        let leftovers = self.leftovers();
        let gone = timeout(DEATH_DEADLINE, self.vm().guest().gone()).await;
        gone.with_context(|| format!("QEMU has lived on for {DEATH_DEADLINE:?}"))??;
        self.save_logs();
        let Err(error) = self.take_vm().quit().await else {
            bail!("QEMU ended without an error");
        };
        let said = format!("{error:#}");
        if !said.contains(cause) {
            bail!("QEMU did not die of {cause:?}: {said}");
        }
        leftovers.expect_none().await
    }

    /// Has the guest reboot in good order. After the boot the shares are not mounted.
    pub async fn reboot(&mut self) -> Result<()> {
        self.save_logs();
        let vm = self.take_vm().reboot().await?;
        self.vm = Some(vm);
        Ok(())
    }

    /// Resets the guest without warning. After the boot the shares are not mounted.
    pub async fn crash(&mut self, crash: Crash) -> Result<()> {
        let vm = self.take_vm().crash(crash).await?;
        self.vm = Some(vm);
        Ok(())
    }

    /// Waits until the first daemon's log contains `text`.
    pub async fn daemon_says(&self, text: &str) -> Result<()> {
        let log = self.vm().daemons()[0].log().to_owned();
        let said = async {
            while !std::fs::read_to_string(&log).is_ok_and(|said| said.contains(text)) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        timeout(SAID_DEADLINE, said)
            .await
            .with_context(|| format!("the daemon has not said {text:?} in {SAID_DEADLINE:?}"))
    }

    /// Takes QEMU, daemons and shares, for a test that ends the guest in its own way.
    pub fn into_vm(mut self) -> (Vm, Vec<Shared>) {
        (self.take_vm(), std::mem::take(&mut self.shares))
    }

    /// Takes QEMU and the daemons; the shares stay.
    pub fn take_vm(&mut self) -> Vm {
        self.vm.take().expect("a lab has its guest until it ends")
    }

    /// The first share's settings, for another daemon on the same folder.
    pub fn vm_share(&self) -> Share {
        self.first().settings.clone()
    }

    /// What to look for after the guest has ended.
    pub fn leftovers(&self) -> Leftovers {
        Leftovers::of(self.dir(), self.mounts.clone())
    }

    /// The run's folder.
    pub fn dir(&self) -> &Path {
        self.vm().dir()
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        if let Some(vm) = &self.vm {
            self.host.save_logs(vm.dir());
        }
    }
}

/// Returns the name once the wait is over. An error means that the process can't be watched, which
/// counts as its end.
fn named<'a>(
    name: String,
    wait: impl Future<Output = io::Result<()>> + 'a,
) -> LocalBoxFuture<'a, String> {
    wait.map(|_| name).boxed_local()
}
