// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Observations of a case, and the outcome that follows from them.

use std::time::Instant;

use dax_measure::lab::{Evidence, Outcome};
use guest_agent::files::{Frame, Task};
use guest_agent::worker::Fault;

use super::fixture::Fixture;
use super::new_owner::NewOwner;

/// Observations of a removal under a pin.
#[derive(Debug, Default)]
pub struct Observation {
    /// Where the removal waited for the page.
    pub blocked: Option<Task>,
    /// The result of the removal while the page was pinned.
    pub returned: Option<Result<(), Fault>>,
    /// The removal neither returned nor waited where it should.
    pub elsewhere: Option<String>,
    /// A scenario without a removal under a pin has run to its end.
    pub finished: bool,
    /// The removal did not return after the release.
    pub stuck: bool,
    /// A signal ended that wait, so that nothing hangs any more.
    pub woken: bool,
    /// Bytes that are wrong, or that reached a reader who should not have them.
    pub harm: Option<String>,
    /// Lines of the guest's kernel log that are complaints.
    pub complaints: Vec<String>,
    /// Everything for the report.
    pub evidence: Evidence,
    /// When the first step was taken.
    start: Option<Instant>,
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

    /// Records who owns the page's memory, now that the removal has returned under the pin.
    pub(super) fn owned(&mut self, frame: Option<Frame>, owner: &NewOwner) {
        let page = frame.map_or_else(|| "the page".to_owned(), |frame| frame.to_string());
        self.step(format_args!("{page}: {owner}"));
        self.evidence.new_owner = match owner {
            NewOwner::Proven { .. } => Some(format!("{page}: {owner}")),
            _ => None,
        };
    }

    /// The outcome that follows; the worst observation counts.
    pub fn outcome(&self) -> Outcome {
        if self.harm.is_some() {
            Outcome::Harmed
        } else if self.stuck {
            Outcome::Stuck
        } else if !self.complaints.is_empty() {
            Outcome::Complained
        } else if self.blocked.is_some() {
            Outcome::Waited
        } else {
            match &self.returned {
                Some(Err(_)) => Outcome::Refused,
                Some(Ok(())) => Outcome::Proceeded,
                None if self.finished => Outcome::Finished,
                None => Outcome::Stuck,
            }
        }
    }

    /// A sentence that gives the reason for the outcome.
    pub fn why(&self) -> String {
        match self.outcome() {
            Outcome::Harmed => self.harm.clone().unwrap_or_default(),
            Outcome::Complained => format!("the kernel's log: {}", self.complaints[0]),
            Outcome::Stuck => match &self.elsewhere {
                Some(elsewhere) => format!("it hung elsewhere: {elsewhere}"),
                None => "it did not return after the page was free".to_owned(),
            },
            Outcome::Refused => match &self.returned {
                Some(Err(fault)) => format!("refused: {fault}"),
                _ => "refused".to_owned(),
            },
            Outcome::Finished => "it came to its end, and all bytes were right".to_owned(),
            Outcome::Proceeded => "it returned while the page was pinned".to_owned(),
            _ => "it waited for the page, and went on when it was free".to_owned(),
        }
    }
}

/// The lines of a kernel log that no test may cause.
pub fn complaints(log: &str) -> Vec<String> {
    const SIGNS: [&str; 9] = [
        "WARNING:",
        "BUG:",
        "kernel BUG",
        "Oops",
        "KASAN",
        "general protection fault",
        "blocked for more than",
        "refcount_t:",
        "Bad page",
    ];
    let bad = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    log.lines().filter(bad).map(str::to_owned).collect()
}

/// The lines of a kernel log that report a lack of progress. A busy host can cause such lines, so
/// they count only if a case has failed.
pub fn stalls(log: &str) -> Vec<String> {
    const SIGNS: [&str; 3] = [
        "self-detected stall",
        "detected stalls on CPUs",
        "soft lockup",
    ];
    let bad = |line: &&str| SIGNS.iter().any(|sign| line.contains(sign));
    log.lines().filter(bad).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts() {
        let mut seen = Observation {
            returned: Some(Ok(())),
            ..Observation::default()
        };
        assert_eq!(seen.outcome(), Outcome::Proceeded);
        seen.complaints.push("WARNING: x".to_owned());
        assert_eq!(seen.outcome(), Outcome::Complained);
        seen.harm = Some("a byte".to_owned());
        assert_eq!(seen.outcome(), Outcome::Harmed);
        assert_eq!(Observation::default().outcome(), Outcome::Stuck);
    }

    #[test]
    fn complaints_are_told_from_chatter() {
        let log = "[ 1.0] virtiofs virtio3: Cache len: 0x1000000\n\
                   [ 2.0] WARNING: CPU: 0 PID: 77 at fs/dax.c:430 dax_disassociate_entry\n\
                   [ 3.0] EXT4-fs (pmem0): DAX enabled. Warning: EXPERIMENTAL, use at your own risk\n";
        assert_eq!(complaints(log).len(), 1);
    }
}
