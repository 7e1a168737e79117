// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Kernels and their guests. A guest is booted when it is needed, and again after it has died.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};
use dax_cases::cases::{Case, KernelKind, Observation, Vmm, complaints, stalls};
use dax_cases::host::{Rig, RigParts};
use qemu_guest::vm::process::tail;
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
    /// QEMU died, for this reason.
    Died(String),
    /// The guest's kernel gave up, with this complaint.
    Broken(String),
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
        if ending.is_err() || self.kernel.keep {
            booted.keep_logs(self.kernel, seen);
        }
        match ending {
            Ok(()) => {
                // A task that is stuck may hold locks that the next case needs.
                let hangs = seen.stuck && !seen.woken;
                let reusable = !booted.rig.is_spoiled() && !hangs;
                self.booted = Some(booted).filter(|_| reusable);
                Ending::Complete
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
async fn why(mut rig: Rig, error: Error) -> Ending {
    let death = timeout(DEATH_DEADLINE, rig.vm_mut().failed()).await;
    let console = fs::read(rig.vm().guest().console()).unwrap_or_default();
    let console = String::from_utf8_lossy(&console);
    let mut complaints = complaints(&console).into_iter().chain(stalls(&console));
    let complaint = complaints.next();
    match (death, complaint) {
        (_, Some(complaint)) => Ending::Broken(complaint),
        (Ok(death), None) => Ending::Died(format!("{death:#}")),
        (Err(_alive), None) => Ending::Failed(error),
    }
}
