// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tools for races: ops that are repeated in the guest, since a round trip to the host between two
//! would be too slow, and the choice of the task that runs first.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};

use super::serve::perform;
use super::{Fault, HandleTable, Op, Request};

/// How many different answers are counted separately; more would be noise.
const KINDS: usize = 16;
/// The name under which the others are counted.
const OTHERS: &str = "others";

/// Runs ops in turn, a number of times. A failed op is counted and does not end the loop.
#[derive(Debug, Serialize, Deserialize)]
pub struct Repeat {
    /// How many rounds at most.
    pub times: u32,
    /// A file that ends it when it is there.
    pub until: Option<String>,
    /// What is done in each round.
    pub requests: Vec<Request>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeated {
    /// Rounds played.
    pub rounds: u32,
    /// How often each answer came: the answer's JSON, or the fault in words.
    pub answers: BTreeMap<String, u32>,
}

impl Repeated {
    fn count(&mut self, op: &str, answer: Result<serde_json::Value, Fault>) {
        let said = match answer {
            Ok(answer) => format!("{op}: {answer}"),
            Err(fault) => format!("{op} failed: {fault}"),
        };
        let full = self.answers.len() >= KINDS && !self.answers.contains_key(&said);
        let said = if full { OTHERS.to_owned() } else { said };
        *self.answers.entry(said).or_default() += 1;
    }
}

impl Op for Repeat {
    const NAME: &'static str = "repeat";
    type Yield = Repeated;

    fn run(self, handles: &mut HandleTable) -> Result<Repeated, Fault> {
        let mut repeated = Repeated::default();
        let over =
            |until: &Option<String>| until.as_deref().is_some_and(|at| Path::new(at).exists());
        while repeated.rounds < self.times && !over(&self.until) {
            for Request { op, with } in &self.requests {
                let answer = perform(op, with.clone(), handles);
                repeated.count(op, answer);
            }
            repeated.rounds += 1;
        }
        Ok(repeated)
    }
}

/// Runs ops one after the other, and gives their answers. The first op that fails ends it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sequence {
    /// What is done.
    pub requests: Vec<Request>,
}

impl Op for Sequence {
    const NAME: &'static str = "sequence";
    type Yield = Vec<serde_json::Value>;

    fn run(self, handles: &mut HandleTable) -> Result<Self::Yield, Fault> {
        let requests = self.requests.into_iter();
        requests
            .map(|Request { op, with }| perform(&op, with, handles))
            .collect()
    }
}

/// Binds the worker to the first CPU.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Before all other tasks on that CPU that have not set this: they run only when this one
    /// sleeps.
    pub first: bool,
}

impl Op for Schedule {
    const NAME: &'static str = "schedule";
    type Yield = ();

    fn run(self, _: &mut HandleTable) -> Result<(), Fault> {
        let mut cpus = CpuSet::new();
        cpus.set(0);
        sched_setaffinity(None, &cpus).map_err(Fault::of("going to the first CPU"))?;
        if !self.first {
            return Ok(());
        }
        let priority = libc::sched_param { sched_priority: 1 };
        // SAFETY: the kernel reads `priority`; 0 is the calling thread.
        let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
        if set < 0 {
            return Err(Fault::of("asking for SCHED_FIFO")(
                io::Error::last_os_error(),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::ReadAt;

    #[test]
    fn a_sequence_ends_at_the_first_failure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").to_str().unwrap().to_owned();
        std::fs::write(&path, "abc").unwrap();
        let read = |path: &str| {
            Request::of(&ReadAt {
                path: path.to_owned(),
                offset: 0,
                len: 2,
            })
        };
        let run = |requests| Sequence { requests }.run(&mut HandleTable::default());
        assert_eq!(run(vec![read(&path), read(&path)]).unwrap(), [2, 2]);
        let failed = run(vec![read(&path), read("/no/such/file"), read(&path)]);
        assert_eq!(failed.unwrap_err().errno, Some(libc::ENOENT));
    }

    #[test]
    fn rounds_and_answers_are_counted_and_a_file_ends_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").to_str().unwrap().to_owned();
        std::fs::write(&path, "abc").unwrap();
        let repeat = |path: &str, until: Option<String>| {
            let read = ReadAt {
                path: path.to_owned(),
                offset: 0,
                len: 2,
            };
            let repeat = Repeat {
                times: 3,
                until,
                requests: vec![Request::of(&read)],
            };
            repeat.run(&mut HandleTable::default()).unwrap()
        };
        let read = repeat(&path, None);
        assert_eq!((read.rounds, read.answers["read-at: 2"]), (3, 3));
        let failed = repeat("/no/such/file", None);
        assert!(failed.answers.keys().all(|said| said.contains("failed")));
        assert_eq!(repeat(&path, Some(path.clone())).rounds, 0);
    }
}
