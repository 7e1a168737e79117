// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A running guest with its daemons.

use std::{path::Path, time::Duration};

use anyhow::{Context, Error, Result, anyhow, ensure};
use futures::future::{FutureExt as _, pending, select_all};
use tokio::time::{Instant, sleep};

use super::{Parts, VmSpec};
use crate::vm::agent::Agent;
use crate::vm::process::{Daemon, DaemonError, Guest, GuestError, RunDir, Share};

/// How long Linux may take to find a device.
const DEVICE_DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks for a device; the guest's agent announces none.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long QEMU may take to end after the agent's last message.
const POWER_OFF_DEADLINE: Duration = Duration::from_secs(60);

/// How long the machine's reset may take after the agent's last message.
const RESET_DEADLINE: Duration = Duration::from_secs(60);

/// How far apart the ends of QEMU and of a daemon may be if one is the reason of the other.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(2);

/// A guest whose agent answers. Dropping it kills QEMU and the daemons and removes their folder.
pub struct Vm {
    // The fields are dropped in this order.
    agent: Agent,
    processes: Processes,
    dir: RunDir,
}

/// A reset without a preparation by the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// `reboot -f`.
    Reboot,
    /// The SysRq key that resets at once.
    Sysrq,
    /// A panic of the kernel.
    Panic,
    /// The machine's reset button.
    SystemReset,
}

impl Crash {
    fn command(self) -> Option<&'static str> {
        match self {
            Self::Reboot => Some("busybox reboot -f"),
            Self::Sysrq => Some("echo b > /proc/sysrq-trigger"),
            Self::Panic => Some("echo -1 > /proc/sys/kernel/panic; echo c > /proc/sysrq-trigger"),
            Self::SystemReset => None,
        }
    }
}

/// A guest and its daemons.
struct Processes {
    guest: Guest,
    daemons: Vec<Daemon>,
}

impl Vm {
    /// Starts the daemons and QEMU and waits for the guest's agent.
    ///
    /// # Errors
    ///
    /// If any of them fails, with the end of its log. Nothing is left running then.
    pub async fn boot(parts: &Parts, spec: VmSpec) -> Result<Self> {
        let accel = parts.accel(spec.accel).await?;
        let dir = RunDir::create()?;
        let mut machine = spec.machine(parts, accel.accel);
        let mut daemons = Vec::new();
        for (index, share) in spec.shares.iter().enumerate() {
            let socket = dir.join(&format!("fs{index}.sock"));
            let log = dir.join(&format!("daemon{index}.log"));
            daemons.push(Daemon::start(&parts.daemon, share, &socket, &log).await?);
            machine.shares.push(share.device(&socket));
        }
        let guest = match Guest::start(&parts.qemu_line(), machine, dir.path()).await {
            Ok(guest) => guest,
            Err(error) => return Err(explained(error, &mut daemons).await),
        };
        let mut processes = Processes { guest, daemons };
        let agent = processes.meet_agent().await?;
        Ok(Self {
            agent,
            processes,
            dir,
        })
    }

    /// The guest's agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// QEMU.
    pub fn guest(&self) -> &Guest {
        &self.processes.guest
    }

    /// The daemons, in the order of the shares.
    pub fn daemons(&self) -> &[Daemon] {
        &self.processes.daemons
    }

    /// Kills the daemon of the share with this index, if it still runs, and starts another one in
    /// its place, for `share`.
    ///
    /// # Errors
    ///
    /// If the new daemon does not start.
    pub async fn replace_daemon(
        &mut self,
        index: usize,
        parts: &Parts,
        share: &Share,
    ) -> Result<()> {
        drop(self.processes.daemons.remove(index));
        let socket = self.dir.join(&format!("fs{index}.sock"));
        let log = self.dir.join(&format!("daemon{index}-again.log"));
        let daemon = Daemon::start(&parts.daemon, share, &socket, &log).await?;
        self.processes.daemons.insert(index, daemon);
        Ok(())
    }

    /// The folder with sockets and logs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Mounts the share `tag` in the guest.
    ///
    /// # Errors
    ///
    /// If the guest can't, with the end of its console.
    pub async fn mount(&self, tag: &str, target: &str, options: &str) -> Result<()> {
        let mounted = self.agent.mount(tag, target, "virtiofs", options).await;
        mounted.with_context(|| format!("console:\n{}", self.guest().console_tail()))
    }

    /// Mounts a file system. A `source` with a path is a device, which Linux may still be probing: it
    /// is waited for.
    ///
    /// # Errors
    ///
    /// If Linux does not find the device in 60 s, or the guest can't mount it.
    pub async fn mount_device(
        &self,
        source: &str,
        target: &str,
        fstype: &str,
        options: &str,
    ) -> Result<()> {
        let deadline = Instant::now() + DEVICE_DEADLINE;
        while source.starts_with('/') && self.agent.stat(source).await.is_err() {
            ensure!(
                Instant::now() < deadline,
                "the guest found no {source} in {DEVICE_DEADLINE:?}"
            );
            sleep(LOOK_AGAIN).await;
        }
        Ok(self.agent.mount(source, target, fstype, options).await?)
    }

    /// Waits for the end of QEMU or of a daemon, which is an error while the guest is needed.
    pub async fn failed(&mut self) -> Error {
        self.processes.failed().await
    }

    /// Lets the guest power off and waits for the end of QEMU and of the daemons.
    ///
    /// # Errors
    ///
    /// If a process did not end by itself or ended with an error. Nothing is left running then
    /// either.
    pub async fn power_off(self) -> Result<()> {
        let Self {
            agent,
            processes,
            dir,
        } = self;
        let asked = agent.power_off().await;
        let ended = processes.end(asked.is_ok()).await;
        drop(dir);
        asked?;
        ended
    }

    /// Lets the guest reboot in good order, and waits for the agent of its next boot. The
    /// description must have asked for [`OnReset::Restart`](crate::vm::machine::OnReset), and no
    /// clone of the agent may be left.
    ///
    /// # Errors
    ///
    /// If the guest does not go down or does not come up again. Nothing is left running then.
    pub async fn reboot(self) -> Result<Self> {
        let Self {
            agent,
            mut processes,
            dir,
        } = self;
        agent.reboot().await?;
        drop(agent);
        let reset = async {
            processes
                .guest
                .qmp()
                .await
                .event("RESET", RESET_DEADLINE)
                .await
        };
        reset.await.context("the guest did not reboot")?;
        let agent = processes.meet_agent().await?;
        Ok(Self {
            agent,
            processes,
            dir,
        })
    }

    /// Resets the guest, which has no time to unmount, and waits for the agent of its next boot. As
    /// for [`Self::reboot`], the description must have asked for a restart.
    ///
    /// # Errors
    ///
    /// If the guest is not reset or does not come up again. Nothing is left running then.
    pub async fn crash(self, crash: Crash) -> Result<Self> {
        let Self {
            agent,
            mut processes,
            dir,
        } = self;
        let mut qmp = processes.guest.qmp().await;
        let reset = async {
            match crash.command() {
                // The guest resets before it can answer.
                Some(line) => drop(agent.check(["sh", "-c", line]).await),
                None => return qmp.system_reset().await,
            }
            Ok(())
        };
        tokio::time::timeout(LAST_WORDS_DEADLINE, reset)
            .await
            .ok()
            .transpose()?;
        qmp.event("RESET", RESET_DEADLINE)
            .await
            .context("the guest was not reset")?;
        drop((qmp, agent));
        let agent = processes.meet_agent().await?;
        Ok(Self {
            agent,
            processes,
            dir,
        })
    }

    /// Ends the guest without asking it.
    ///
    /// # Errors
    ///
    /// If a process ended with an error of its own.
    pub async fn quit(self) -> Result<()> {
        self.processes.end(false).await
    }

    /// Ends the guest at once, and leaves logs and console in a folder.
    ///
    /// # Errors
    ///
    /// If the folder can't be kept.
    pub fn keep_logs(self) -> Result<std::path::PathBuf> {
        drop(self.processes);
        self.dir.keep().context("the logs can't be kept")
    }
}

impl Processes {
    async fn meet_agent(&mut self) -> Result<Agent> {
        let stream = self.guest.connect_agent().await?;
        let met = tokio::select! {
            met = Agent::connect(stream) => met,
            error = self.failed() => return Err(error),
        };
        met.with_context(|| {
            let console = self.guest.console_tail();
            format!("the guest did not come up; its console:\n{console}")
        })
    }

    async fn failed(&mut self) -> Error {
        let Self { guest, daemons } = self;
        let daemon = tokio::select! {
            error = guest.ended() => return error.into(),
            error = first_ended(daemons) => error,
        };
        if !ended_well(&daemon) {
            return daemon.into();
        }
        // QEMU has disconnected from the daemon. QEMU's connections end before it does, and its end
        // explains more.
        let guest = tokio::time::timeout(LAST_WORDS_DEADLINE, guest.ended()).await;
        guest.map_or_else(|_elapsed| daemon.into(), Error::new)
    }

    /// Waits for the end of a guest that is `powering_off`, or ends it, and then the daemons.
    async fn end(mut self, powering_off: bool) -> Result<()> {
        let off = if powering_off {
            self.guest.wait_off(POWER_OFF_DEADLINE).await?
        } else {
            None
        };
        match off {
            Some(()) => drop(self.guest),
            None => self.guest.stop().await?,
        }
        for daemon in self.daemons {
            daemon.stop().await?;
        }
        if powering_off && off.is_none() {
            return Err(anyhow!(
                "QEMU did not end in {POWER_OFF_DEADLINE:?} after the power-off"
            ));
        }
        Ok(())
    }
}

/// Finds out why QEMU did not start. A daemon that has failed meanwhile explains more than QEMU,
/// which found its socket without a listener.
async fn explained(error: GuestError, daemons: &mut [Daemon]) -> Error {
    match tokio::time::timeout(LAST_WORDS_DEADLINE, first_ended(daemons)).await {
        Ok(daemon) if !ended_well(&daemon) => daemon.into(),
        _ => error.into(),
    }
}

/// Waits for the end of any of the daemons.
async fn first_ended(daemons: &mut [Daemon]) -> DaemonError {
    if daemons.is_empty() {
        return pending().await;
    }
    let all = daemons.iter_mut().map(|daemon| daemon.ended().boxed());
    select_all(all).await.0
}

/// Whether a daemon ended as it does when QEMU has disconnected.
fn ended_well(end: &DaemonError) -> bool {
    matches!(end, DaemonError::Ended { status, .. } if status.success())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::script;

    fn refusal() -> GuestError {
        GuestError::NoConnection {
            path: "/run/qmp".into(),
        }
    }

    /// A daemon that ends with `status` as soon as it has been started.
    async fn ending(dir: &Path, status: u8) -> Daemon {
        let program = dir.join("fake-daemon");
        let go = dir.join("go");
        rustix::fs::mkfifoat(rustix::fs::CWD, &go, rustix::fs::Mode::RUSR).unwrap();
        let text = format!(": >\"$2\"\nread x <'{}'\nexit {status}", go.display());
        script::write(&program, &text).unwrap();
        let share = Share::new("/srv", "t".parse().unwrap());
        let socket = dir.join("sock");
        let daemon = Daemon::start(&program, &share, &socket, &dir.join("log")).await;
        fs::write(go, "x\n").unwrap();
        daemon.unwrap()
    }

    #[tokio::test]
    async fn a_failed_daemon_explains_why_qemu_did_not_start() {
        for (status, told) in [(3, "exit status: 3"), (0, "QEMU did not connect")] {
            let dir = tempfile::tempdir().unwrap();
            let mut daemons = [ending(dir.path(), status).await];
            let error = explained(refusal(), &mut daemons).await.to_string();
            assert!(error.contains(told), "{error}");
        }
        let error = explained(refusal(), &mut []).await.to_string();
        assert!(error.contains("QEMU did not connect"), "{error}");
    }
}
