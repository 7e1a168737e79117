// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Observations of a case, and the outcome that follows from them.

use std::time::Instant;

use dax_measure::lab::{Evidence, Outcome};
use guest_agent::files::{Frame, Task};
use guest_agent::worker::{Fault, Span};

use super::complaint::Complaint;
use super::fixture::Fixture;
use super::new_owner::NewOwner;

/// Observations of a removal under a pin.
#[derive(Debug, Default)]
pub struct Observation {
    /// Where the removal waited for the page.
    pub blocked: Option<Task>,
    /// The removal waited, and returned before the release.
    pub early: bool,
    /// How often the removal was woken while the page was in use, in a case where it must not be.
    pub spurious: u64,
    /// The result of the removal while the page was pinned.
    pub returned: Option<Result<(), Fault>>,
    /// How many references the removal found that waits for the page; `None` if the kernel does not
    /// show it.
    pub references: Option<i64>,
    /// A task hangs at another place than where it waits for a page: its stack.
    pub elsewhere: Option<String>,
    /// A scenario without a removal under a pin has run to its end.
    pub finished: bool,
    /// The removal did not return after the release, and still sleeps where it waited.
    pub stuck: bool,
    /// A signal ended that wait, so that nothing hangs any more.
    pub woken: bool,
    /// The case wakes the removal itself, so that wake-ups are no failure.
    pub is_woken_by_case: bool,
    /// Bytes that are wrong, or that reached a reader who should not have them.
    pub harm: Option<String>,
    /// The complaints in the log of the guest's kernel.
    pub complaints: Vec<Complaint>,
    /// When the actors of a race ran, on the guest's clock.
    pub ran: Vec<Span>,
    /// Everything for the report.
    pub evidence: Evidence,
    /// When the first step was taken.
    pub(super) start: Option<Instant>,
}

impl Observation {
    /// Records a step.
    pub fn step(&mut self, what: impl std::fmt::Display) {
        let start = *self.start.get_or_insert_with(Instant::now);
        let ms = start.elapsed().as_millis();
        self.evidence.steps.push(format!("{ms:>6} ms  {what}"));
    }

    /// Records where the fixture's file is.
    pub(super) fn stands(&mut self, fixture: &Fixture) {
        self.evidence.where_it_stood = fixture.standing.clone();
        self.step("the page is mapped");
    }

    /// Records a task that hangs at another place than where it waits; `None` is a task that runs.
    pub(super) fn is_elsewhere(&mut self, task: Option<Task>) {
        let stack = task.map_or_else(|| "it runs".to_owned(), |task| task.stack);
        self.elsewhere = Some(stack.clone());
        self.evidence.stack = Some(stack);
    }

    /// Records who owns the page's memory, now that the removal has returned under the pin.
    pub(super) fn owned(&mut self, frame: Option<Frame>, owner: &NewOwner) {
        let page = frame.map_or_else(|| "the page".to_owned(), |frame| frame.to_string());
        self.step(format_args!("{page}: {owner}"));
        self.evidence.new_owner = match owner {
            NewOwner::Proven { .. } => Some(format!("{page}: {owner}")),
            _ => None,
        };
    }

    /// Whether a task hangs, so that its guest can't be used any more.
    pub fn hangs(&self) -> bool {
        (self.stuck || self.elsewhere.is_some()) && !self.woken
    }

    /// The outcome that follows. A return before the release goes first, because all else follows
    /// from it; then the worst observation counts.
    pub fn outcome(&self) -> Outcome {
        if self.early {
            Outcome::Early
        } else if self.harm.is_some() {
            Outcome::Harmed
        } else if self.stuck {
            Outcome::Stuck
        } else if self.elsewhere.is_some() {
            Outcome::Hung
        } else if !self.complaints.is_empty() {
            Outcome::Complained
        } else if self.blocked.is_some() && self.spurious > 0 {
            Outcome::Spurious
        } else if self.blocked.is_some() {
            Outcome::Waited
        } else {
            match &self.returned {
                Some(Err(_)) => Outcome::Refused,
                Some(Ok(())) => Outcome::Proceeded,
                None if self.finished => Outcome::Finished,
                None => Outcome::NotRun,
            }
        }
    }

    /// A sentence that gives the reason for the outcome.
    pub fn why(&self) -> String {
        match self.outcome() {
            Outcome::Early => match &self.harm {
                Some(harm) => format!("it waited, and returned before the release; then: {harm}"),
                None => "it waited, and returned before the release".to_owned(),
            },
            Outcome::Harmed => self.harm.clone().unwrap_or_default(),
            Outcome::Complained => format!("the kernel's log: {}", self.complaints[0]),
            Outcome::Stuck => "it did not return after the page was free".to_owned(),
            Outcome::Hung => {
                let stack = self.elsewhere.as_deref().unwrap_or_default();
                format!("it hung elsewhere: {stack}")
            }
            Outcome::Spurious => format!(
                "it waited for the page, and was woken {} times before the page was free",
                self.spurious
            ),
            Outcome::Refused => match &self.returned {
                Some(Err(fault)) => format!("refused: {fault}"),
                _ => "refused".to_owned(),
            },
            Outcome::Finished => "it came to its end, and all bytes were right".to_owned(),
            Outcome::Proceeded => "it returned while the page was pinned".to_owned(),
            Outcome::NotRun => "the case ended, and nothing was observed".to_owned(),
            _ => "it waited for the page, and went on when it was free".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::complaints;

    fn blocked() -> Observation {
        let task = Task {
            pid: 90,
            comm: "guest-worker".to_owned(),
            state: 'S',
            stack: "[<0>] ext4_break_layouts+0x1d/0x60".to_owned(),
        };
        Observation {
            blocked: Some(task),
            ..Observation::default()
        }
    }

    #[test]
    fn the_worst_counts() {
        let mut seen = Observation {
            returned: Some(Ok(())),
            ..Observation::default()
        };
        assert_eq!(seen.outcome(), Outcome::Proceeded);
        seen.complaints = complaints("WARNING: x");
        assert_eq!(seen.outcome(), Outcome::Complained);
        seen.elsewhere = Some("[<0>] request_wait_answer+0x1/0x2".to_owned());
        assert_eq!(seen.outcome(), Outcome::Hung);
        seen.stuck = true;
        assert_eq!(seen.outcome(), Outcome::Stuck);
        seen.harm = Some("a byte".to_owned());
        assert_eq!(seen.outcome(), Outcome::Harmed);
        seen.early = true;
        assert_eq!(seen.outcome(), Outcome::Early);
        assert!(seen.why().ends_with("a byte"));
    }

    #[test]
    fn nothing_seen_is_no_result() {
        assert_eq!(Observation::default().outcome(), Outcome::NotRun);
    }

    #[test]
    fn a_wait_with_needless_wake_ups_is_another_outcome() {
        let mut seen = blocked();
        assert_eq!(seen.outcome(), Outcome::Waited);
        seen.spurious = 2;
        assert_eq!(seen.outcome(), Outcome::Spurious);
        assert!(seen.why().contains("2 times"));
    }
}
