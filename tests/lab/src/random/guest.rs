// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest that plays programs: it is booted when it is needed, and again after it is lost.

use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use dax_cases::cases::{Complaint, Severity};
use dax_cases::host::{Lacking, Rig, RigParts};
use dax_measure::lab::Outcome;
use dax_random::{Deviation, Kind, Played, Program, play};
use tokio::time::timeout;

use crate::test::{Ending, why};

/// The limit for a program. Each of its waits has a limit of its own.
const PROGRAM_DEADLINE: Duration = Duration::from_secs(600);

/// A place for a guest, which may be empty.
pub struct Guest<'a> {
    parts: &'a RigParts,
    rig: Option<Rig>,
}

impl<'a> Guest<'a> {
    /// A guest that is not booted yet.
    pub fn new(parts: &'a RigParts) -> Self {
        Self { parts, rig: None }
    }

    /// Plays a program. A guest that is lost is what came of it.
    ///
    /// # Errors
    ///
    /// If the lab fails.
    pub async fn play(&mut self, program: &Program) -> Result<Played> {
        let mut rig = match self.rig.take() {
            Some(rig) => rig,
            None => Rig::boot(self.parts)
                .await
                .context("the guest did not boot")?,
        };
        let mut played = Played::default();
        let ended = timeout(PROGRAM_DEADLINE, play(&mut rig, program, &mut played)).await;
        let ended = ended.unwrap_or_else(|_| {
            Err(Error::msg(format!(
                "the program has not ended in {PROGRAM_DEADLINE:?}"
            )))
        });
        match ended {
            Ok(()) => {
                let reusable = !played.wedged && !rig.is_spoiled();
                self.rig = Some(rig).filter(|_| reusable);
            }
            Err(error) if error.is::<Lacking>() => self.rig = Some(rig),
            Err(error) => {
                let (kind, detail) = lost(why(rig, error).await)?;
                let deviation = Deviation::of_guest(kind, played.at, detail);
                played.steps.push(deviation.to_string());
                played.deviation.get_or_insert(deviation);
            }
        }
        Ok(played)
    }

    /// Shuts the guest down.
    ///
    /// # Errors
    ///
    /// If the guest does not end in good order.
    pub async fn end(self) -> Result<()> {
        match self.rig {
            Some(rig) => rig.end().await.context("the end of the guest"),
            None => Ok(()),
        }
    }
}

/// What became of a guest that was lost.
fn lost(ending: Ending) -> Result<(Kind, String)> {
    Ok(match ending {
        Ending::Died { why, .. } => (Kind::VmDied(why.clone()), why),
        Ending::Broken {
            outcome,
            complaints,
            why,
        } => {
            let function = function(&complaints);
            let kind = match outcome {
                Outcome::Panicked => Kind::Panic(function),
                Outcome::Complained => Kind::Complaint(function),
                _ => Kind::Hang(vec![function]),
            };
            (kind, why)
        }
        Ending::Failed(error) => return Err(error),
        Ending::Complete | Ending::Lacking(_) => (Kind::Killed, "the guest is gone".to_owned()),
    })
}

/// The function that a guest was lost in: that of the first oops, or else of the last complaint.
/// What a guest goes on after comes before.
fn function(complaints: &[Complaint]) -> String {
    let mut all = complaints.iter();
    let oops = all.find(|complaint| complaint.severity == Severity::Oops);
    let told = oops.or(complaints.last());
    let function = told.and_then(|complaint| complaint.function.clone());
    function.unwrap_or_else(|| "an unnamed function".to_owned())
}

#[cfg(test)]
mod tests {
    use dax_cases::cases::complaints;

    use super::*;

    #[test]
    fn a_guest_is_lost_to_its_first_oops() {
        let log = "WARNING: CPU: 0 PID: 1 at fs/dax.c:390 dax_disassociate_entry+0x8f/0xd0\n\
                   kernel BUG at lib/list_debug.c:62!\n\
                   RIP: 0010:__list_del_entry_valid_or_report+0x1/0x2\n\
                   WARNING: CPU: 0 PID: 1 at fs/inode.c:1 iput+0x8f/0xd0\n";
        let all = complaints(log);
        assert_eq!(function(&all), "__list_del_entry_valid_or_report");
        assert_eq!(function(&all[..1]), "dax_disassociate_entry");
        assert_eq!(function(&[]), "an unnamed function");
    }
}
