// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Counts how often a task that waits for a page is woken although it has to go on waiting.

use anyhow::Result;
use guest_agent::files::{Task, TraceSleeps, TracedSleeps};

use super::Observation;
use crate::host::{BREAK_LAYOUTS, Worker, WorkerError};

/// The count, from the moment at which the task was seen waiting.
pub(super) struct SpuriousWakeups {
    pid: u32,
    /// Whether this kernel can trace the wake-ups.
    counted: bool,
}

impl SpuriousWakeups {
    /// Begins to count for a task that waits. A kernel that can't trace wake-ups is no failure.
    ///
    /// # Errors
    ///
    /// If the watcher is gone.
    pub(super) async fn begin(
        watcher: &mut Worker,
        task: &Task,
        seen: &mut Observation,
    ) -> Result<Self> {
        let pid = task.pid;
        let counted = possible(watcher.ask(TraceSleeps { pid }).await, seen)?;
        Ok(Self {
            pid,
            counted: counted.is_some(),
        })
    }

    /// Ends the count, and adds it to the earlier counts of the case.
    ///
    /// # Errors
    ///
    /// If the watcher is gone.
    pub(super) async fn end(self, watcher: &mut Worker, seen: &mut Observation) -> Result<()> {
        if self.counted {
            let traced = TracedSleeps {
                pid: self.pid,
                functions: BREAK_LAYOUTS.map(str::to_owned).into(),
            };
            let before = seen.evidence.vain_wakeups.unwrap_or(0);
            let count = possible(watcher.ask(traced).await, seen)?;
            seen.evidence.vain_wakeups = count.map(|count| before + count);
            if !seen.is_woken_by_case {
                seen.spurious = seen.evidence.vain_wakeups.unwrap_or(0);
            }
        }
        Ok(())
    }
}

/// The watcher's answer. If tracing was not possible, the reason is recorded as a step.
fn possible<T>(asked: Result<T, WorkerError>, seen: &mut Observation) -> Result<Option<T>> {
    match asked {
        Ok(got) => Ok(Some(got)),
        Err(WorkerError::Fault { source, .. }) => {
            seen.step(format_args!("spurious wake-ups are not counted: {source}"));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
