// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest for each kernel, booted when it is needed and again after it has died.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use dax_cases::cases::{Case, KernelKind, Observation, complaints};
use dax_cases::host::{Rig, RigParts};
use qemu_guest::process::tail;
use tokio::time::timeout;

/// How long a case may take at most; each of its waits has a limit of its own.
const CASE_DEADLINE: Duration = Duration::from_secs(1200);
/// Lines of QEMU's own output in the evidence.
const QEMU_LINES: usize = 20;
/// How long QEMU's end may come after the loss of its guest was noticed.
const DEATH_DEADLINE: Duration = Duration::from_secs(5);

/// A kernel and its guest.
pub struct Guest {
    /// The kernel's name on the command line.
    pub label: String,
    /// What is known of it.
    pub kind: KernelKind,
    parts: RigParts,
    rig: Option<Rig>,
}

/// What became of a case.
pub enum Played {
    /// To its end.
    Out,
    /// QEMU died over it, of this.
    Died(String),
    /// The guest's kernel gave up, with this complaint.
    Broken(String),
    /// The lab failed.
    Failed(Error),
}

impl Guest {
    /// A kernel without a guest yet.
    pub fn new(label: String, parts: RigParts) -> Self {
        Self {
            kind: KernelKind::of(&label, parts.release()),
            label,
            parts,
            rig: None,
        }
    }

    /// The kernel's own name for itself.
    pub fn release(&self) -> &str {
        self.parts.release()
    }

    /// What its guests are started from.
    pub fn parts(&self) -> &RigParts {
        &self.parts
    }

    /// Plays a case, and tells what was seen.
    pub async fn play(&mut self, case: Case) -> (Played, Observation) {
        let mut seen = Observation::default();
        let played = self.try_play(case, &mut seen).await;
        (played, seen)
    }

    async fn try_play(&mut self, case: Case, seen: &mut Observation) -> Played {
        let mut rig = match self.rig.take() {
            Some(rig) => rig,
            None => match Rig::boot(&self.parts).await {
                Ok(rig) => rig,
                Err(error) => return Played::Failed(error.context("the guest did not boot")),
            },
        };
        let played = timeout(CASE_DEADLINE, case.play(&mut rig, seen)).await;
        let played = played.unwrap_or_else(|_| {
            Err(Error::msg(format!(
                "the case has not ended in {CASE_DEADLINE:?}"
            )))
        });
        match played {
            Ok(()) => {
                self.rig = Some(rig).filter(|rig| !rig.is_spoiled());
                Played::Out
            }
            Err(error) => {
                seen.evidence.console_tail = rig.vm().guest().console_tail();
                let said = tail(rig.vm().guest().log(), QEMU_LINES);
                if !said.is_empty() {
                    seen.evidence.console_tail += &format!("\nQEMU:\n{said}");
                }
                why(rig, error).await
            }
        }
    }

    /// Ends its guest in good order.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub async fn end(self) -> Result<()> {
        let Some(rig) = self.rig else { return Ok(()) };
        let label = self.label;
        rig.end()
            .await
            .with_context(|| format!("the end of the guest of {label}"))
    }
}

/// Tells a guest's death from a failure of the lab. After either the guest is gone.
async fn why(mut rig: Rig, error: Error) -> Played {
    let death = timeout(DEATH_DEADLINE, rig.vm_mut().failed()).await;
    let console = fs::read(rig.vm().guest().console()).unwrap_or_default();
    let complaint = complaints(&String::from_utf8_lossy(&console))
        .into_iter()
        .next();
    match (death, complaint) {
        (_, Some(complaint)) => Played::Broken(complaint),
        (Ok(death), None) => Played::Died(format!("{death:#}")),
        (Err(_alive), None) => Played::Failed(error),
    }
}
