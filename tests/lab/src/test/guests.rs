// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Kernels and their guests. A guest is booted when it is needed, and again after it has died.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};
use dax_cases::cases::{
    Case, Complaint, HeldTo, KernelKind, Observation, Vmm, complaints, panic, stalls,
};
use dax_cases::host::{Lacking, Rig, RigParts};
use dax_measure::lab::Outcome;
use qemu_guest::vm::process::{GuestError, tail};
use tokio::time::timeout;

use super::logs::Logs;

/// The limit for a case. Each of its waits has a limit of its own.
const CASE_DEADLINE: Duration = Duration::from_secs(1200);
/// After this many failed boots in a row, a kernel's guest is not booted again.
const MAX_FAILED_BOOTS: u32 = 2;
/// Lines of QEMU's own output in the evidence.
const QEMU_LINES: usize = 20;
/// How long after the loss of its guest QEMU may end.
const DEATH_DEADLINE: Duration = Duration::from_secs(5);

/// A kernel that cases are run on.
pub struct Kernel {
    /// Its name on the command line.
    pub label: String,
    /// The kind of kernel.
    pub kind: KernelKind,
    /// What happens to a QEMU that loses a page.
    pub vmm: Vmm,
    /// What it is held to.
    pub held_to: HeldTo,
    /// The parts that its guests are started from.
    pub parts: RigParts,
    /// The folder for guests' logs.
    pub shelf: PathBuf,
    /// Whether the logs of all guests are kept, not only those of guests that were lost.
    pub keep: bool,
}

/// A place for a guest, which may be empty.
pub struct Guest<'a> {
    /// The kernel that it runs.
    pub kernel: &'a Kernel,
    booted: Option<Booted>,
    /// The number of failed boots in a row.
    failed_boots: u32,
}

/// A running guest. The fields are dropped in this order.
struct Booted {
    rig: Rig,
    logs: Logs,
}

/// How a case ended.
pub enum Ending {
    /// It was run to its end.
    Complete,
    /// QEMU died.
    Died {
        /// The signal that ended it, if one did.
        signal: Option<i32>,
        /// How it ended.
        why: String,
    },
    /// The guest's kernel gave up.
    Broken {
        /// Whether it panicked, hung, or only complained.
        outcome: Outcome,
        /// Its complaints.
        complaints: Vec<Complaint>,
        /// The line that tells.
        why: String,
    },
    /// The kernel or the host lacks what the case needs.
    Lacking(String),
    /// The lab failed.
    Failed(Error),
}

impl<'a> Guest<'a> {
    /// A guest of this kernel, not booted yet.
    pub fn of(kernel: &'a Kernel) -> Self {
        Self {
            kernel,
            booted: None,
            failed_boots: 0,
        }
    }

    /// Runs a case, and returns the observations.
    pub async fn run(&mut self, case: Case) -> (Ending, Observation) {
        let mut seen = Observation::default();
        let ending = self.try_run(case, &mut seen).await;
        (ending, seen)
    }

    async fn try_run(&mut self, case: Case, seen: &mut Observation) -> Ending {
        let mut booted = match self.booted.take() {
            Some(booted) => booted,
            None => match self.boot().await {
                Ok(booted) => booted,
                Err(error) => return Ending::Failed(error),
            },
        };
        let ending = timeout(CASE_DEADLINE, case.run(&mut booted.rig, seen)).await;
        let ending = ending.unwrap_or_else(|_| {
            Err(Error::msg(format!(
                "the case has not ended in {CASE_DEADLINE:?}"
            )))
        });
        let lost = ending.as_ref().is_err_and(|error| !error.is::<Lacking>());
        if lost || self.kernel.keep {
            booted.keep_logs(self.kernel, seen);
        }
        match ending {
            Ok(()) => {
                // A task that is stuck may hold locks that the next case needs.
                let reusable = !booted.rig.is_spoiled() && !seen.hangs();
                self.booted = Some(booted).filter(|_| reusable);
                Ending::Complete
            }
            Err(error) if error.is::<Lacking>() => {
                self.booted = Some(booted).filter(|booted| !booted.rig.is_spoiled());
                Ending::Lacking(error.to_string())
            }
            Err(error) => {
                let guest = booted.rig.vm().guest();
                seen.evidence.console_tail = guest.console_tail();
                let said = tail(guest.log(), QEMU_LINES);
                if !said.is_empty() {
                    seen.evidence.console_tail += &format!("\nQEMU:\n{said}");
                }
                why(booted.rig, error).await
            }
        }
    }

    async fn boot(&mut self) -> Result<Booted> {
        ensure!(
            self.failed_boots < MAX_FAILED_BOOTS,
            "the guest did not boot {MAX_FAILED_BOOTS} times in a row, and is not tried again"
        );
        let booted = Booted::boot(self.kernel).await;
        self.failed_boots = booted.as_ref().map_or(self.failed_boots + 1, |_| 0);
        booted.context("the guest did not boot")
    }

    /// Shuts the guest down.
    ///
    /// # Errors
    ///
    /// If the guest does not end in good order.
    pub async fn end(self) -> Result<()> {
        let Some(Booted { rig, logs: _last }) = self.booted else {
            return Ok(());
        };
        let label = &self.kernel.label;
        rig.end()
            .await
            .with_context(|| format!("the end of the guest of {label}"))
    }
}

impl Booted {
    async fn boot(kernel: &Kernel) -> Result<Self> {
        let rig = Rig::boot(&kernel.parts).await?;
        let logs = Logs::open(rig.vm().dir()).context("can't read the guest's logs")?;
        Ok(Self { rig, logs })
    }

    fn keep_logs(&mut self, kernel: &Kernel, seen: &mut Observation) {
        match self.logs.keep(&kernel.shelf, &kernel.label) {
            Ok(folder) => seen.step(format_args!("the guest's logs: {}", folder.display())),
            Err(error) => seen.step(format_args!("the guest's logs are not kept: {error}")),
        }
    }
}

/// Distinguishes a guest's death from a failure of the lab. The guest is gone after either.
pub async fn why(mut rig: Rig, error: Error) -> Ending {
    let death = timeout(DEATH_DEADLINE, rig.vm_mut().failed()).await;
    let console = fs::read(rig.vm().guest().console()).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    told(error, death.ok(), &console)
}

/// What a guest's console, and the end of its processes, say of a case that could not go on. A
/// panic ends QEMU, too, so it goes first.
fn told(error: Error, death: Option<Error>, console: &str) -> Ending {
    let complaints = complaints(console);
    if let Some(line) = panic(console) {
        let first = complaints.first().map(|complaint| complaint.line.clone());
        return Ending::Broken {
            outcome: Outcome::Panicked,
            why: first.unwrap_or_else(|| line.to_owned()),
            complaints,
        };
    }
    if let Some(death) = death {
        let signal = match death.downcast_ref() {
            Some(GuestError::Ended(ended)) => ended.status.signal(),
            _ => None,
        };
        let why = format!("{death:#}");
        return Ending::Died { signal, why };
    }
    if let Some(complaint) = complaints.first() {
        return Ending::Broken {
            outcome: Outcome::Complained,
            why: complaint.line.clone(),
            complaints,
        };
    }
    if let Some(stall) = stalls(console).first() {
        return Ending::Broken {
            outcome: Outcome::Hung,
            why: stall.line.clone(),
            complaints,
        };
    }
    Ending::Failed(error)
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    const BUG: &str = "[ 9.0] kernel BUG at fs/super.c:647!\n\
                       [ 9.0] RIP: 0010:generic_shutdown_super.cold+0x1a/0x1c\n";
    const PANIC: &str = "[ 9.1] Kernel panic - not syncing: Fatal exception\n";
    const STALL: &str = "[ 9.0] rcu: INFO: rcu_sched self-detected stall on CPU\n";

    fn failed() -> Error {
        Error::msg("the worker is gone")
    }

    fn died(status: i32) -> Error {
        let ended = qemu_guest::vm::process::Ended {
            status: ExitStatus::from_raw(status),
            output: String::new(),
            console: String::new(),
        };
        GuestError::from(Box::new(ended)).into()
    }

    #[test]
    fn a_panic_a_complaint_and_a_stall_are_three_outcomes() {
        let outcome = |console: &str| match told(failed(), None, console) {
            Ending::Broken { outcome, .. } => Some(outcome),
            _ => None,
        };
        assert_eq!(outcome(&format!("{BUG}{PANIC}")), Some(Outcome::Panicked));
        assert_eq!(outcome(BUG), Some(Outcome::Complained));
        assert_eq!(outcome(STALL), Some(Outcome::Hung));
        assert_eq!(outcome(""), None);
        // QEMU ends after a panic, but not of it.
        let both = told(failed(), Some(died(0)), &format!("{BUG}{PANIC}"));
        let Ending::Broken { outcome, why, .. } = both else {
            panic!("a panic is no death of QEMU");
        };
        assert_eq!(outcome, Outcome::Panicked);
        assert!(why.contains("fs/super.c:647"));
    }

    #[test]
    fn qemu_s_signal_is_known() {
        let signal = |status| match told(failed(), Some(died(status)), "") {
            Ending::Died { signal, .. } => signal,
            _ => panic!("QEMU has died"),
        };
        assert_eq!(signal(libc::SIGBUS), Some(libc::SIGBUS));
        assert_eq!(signal(1 << 8), None);
    }
}
