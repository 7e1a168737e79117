// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The ops of a workload, in the order of a turn.
//!
//! The worker keeps the prepared turn and its pins in its handle table, under names of their own.

use std::borrow::Borrow;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::{Files, Work, make, pins::Pins, trace, turn::Turn};
use crate::worker::{Fault, HandleTable, Op};

/// Open files of the largest working set, and some more.
const OPEN_FILES: u64 = 16 << 10;
/// Under which the turn is kept.
const TURN: &str = "workload's turn";
/// Under which its pins are kept.
const PINS: &str = "workload's pins";
/// Drops the guest's caches. An inode that goes takes its ranges of the window with it.
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// Makes files below a folder, and removes those of other sizes there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Make {
    pub dir: String,
    pub files: Files,
}

impl Op for Make {
    const NAME: &'static str = "make-files";
    type Yield = ();

    fn run(self, _: &mut HandleTable) -> Result<(), Fault> {
        make(Path::new(&self.dir), self.files)
    }
}

/// Drops the guest's caches, pins the first page of so many ranges of the file `pins`, opens and maps
/// the files, and warms up where the work says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Prepare {
    pub dir: String,
    pub work: Work,
    /// What the pages that are written get as their version; and what decides chance.
    pub turn: u64,
    /// How many ranges are pinned until the turn's end.
    pub pins: u64,
}

impl Op for Prepare {
    const NAME: &'static str = "prepare";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        // Where it is refused, opening files tells.
        let limit = Rlimit {
            current: Some(OPEN_FILES),
            maximum: Some(OPEN_FILES),
        };
        setrlimit(Resource::Nofile, limit).ok();
        rustix::fs::sync();
        fs::write(DROP_CACHES, "3").map_err(Fault::of(DROP_CACHES))?;
        let dir = Path::new(&self.dir);
        // While nothing else has a range of the window.
        let mut pins = match self.pins {
            0 => None,
            ranges => Some(Pins::take(dir, ranges)?),
        };
        let turn = Turn::prepare(dir, self.work, self.turn, &mut pins)?;
        handles.keep(TURN, turn);
        handles.keep(PINS, pins);
        Ok(())
    }
}

/// Begins to count what the guest's driver does with its window. False where the kernel can't tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trace {}

impl Op for Trace {
    const NAME: &'static str = "trace-window";
    type Yield = bool;

    fn run(self, _: &mut HandleTable) -> Result<bool, Fault> {
        Ok(trace::begin())
    }
}

/// What the driver has done since [`Trace`]; none where the kernel can't tell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Count {}

impl Op for Count {
    const NAME: &'static str = "count-window";
    type Yield = Option<Counts>;

    fn run(self, _: &mut HandleTable) -> Result<Option<Counts>, Fault> {
        Ok(trace::counts())
    }
}

/// Runs the prepared turn. Releases pins that it can't end with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// The limit in milliseconds.
    pub limit_ms: u64,
}

impl Run {
    /// For so long at most.
    pub fn within(limit: Duration) -> Self {
        Self {
            limit_ms: limit.as_millis() as u64,
        }
    }
}

impl Op for Run {
    const NAME: &'static str = "run";
    type Yield = Ran;

    fn run(self, handles: &mut HandleTable) -> Result<Ran, Fault> {
        let mut pins = handles.take::<Option<Pins>>(PINS).flatten();
        let turn: &mut Turn = handles.get_mut(TURN)?;
        let ran = turn.run(Duration::from_millis(self.limit_ms), &mut pins);
        handles.keep(PINS, pins);
        ran
    }
}

/// Verifies the writes, closes the files, and releases pins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Finish {}

impl Op for Finish {
    const NAME: &'static str = "finish";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        drop(handles.take::<Option<Pins>>(PINS));
        match handles.take::<Turn>(TURN) {
            Some(turn) => turn.finish(),
            None => Ok(()),
        }
    }
}

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// From the first access of the first thread to the last of the last, in nanoseconds.
    pub ns: u64,
    pub threads: Vec<RanThread>,
    /// Whether an access did not end until the pins were released.
    pub stalled: bool,
    /// The tasks that slept in Linux's DAX code meanwhile.
    pub blocked: Vec<Blocked>,
}

/// Tasks of the guest that sleep at the same place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The name of one of them.
    pub comm: String,
    /// The kernel's functions that it is in, the innermost first.
    pub stack: Vec<String>,
}

/// What one thread did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RanThread {
    /// Accesses that have ended.
    pub accesses: u64,
    /// Their bytes. A page of a mapping counts whole.
    pub bytes: u64,
    /// How many accesses took about so many nanoseconds.
    pub latencies: Vec<(u64, u64)>,
}

/// What Linux's driver did with its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// SETUPMAPPING requests.
    pub set_up: u64,
    /// Ranges that it asked to be removed.
    pub removed: u64,
    /// Ranges that were taken from a file by the task that needed one.
    pub inline: u64,
    /// Ranges that were taken from a file by the kernel's worker.
    pub worker: u64,
}

impl Blocked {
    /// One for each place.
    pub fn each_place<T: Borrow<Self>>(all: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut places: Vec<T> = Vec::new();
        for one in all {
            let new = |place: &T| place.borrow().stack != one.borrow().stack;
            if places.iter().all(new) {
                places.push(one);
            }
        }
        places
    }

    /// In a line; a guest may call its tasks what it likes.
    pub fn told(&self) -> String {
        let stack = self.stack.join(" < ");
        format!("{}: {}", self.comm.escape_debug(), stack.escape_debug())
    }
}

impl Ran {
    /// Accesses of all threads.
    pub fn accesses(&self) -> u64 {
        self.threads.iter().map(|thread| thread.accesses).sum()
    }

    /// Bytes of all threads.
    pub fn bytes(&self) -> u64 {
        self.threads.iter().map(|thread| thread.bytes).sum()
    }
}
