// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the host asks of the guest's program, and what it is told. A line of JSON each.

use std::borrow::Borrow;

use serde::{Deserialize, Serialize};

use super::{Files, Work};

/// What the guest's program is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Makes files below a folder, and removes those of other sizes there.
    Make {
        /// The folder.
        dir: String,
        /// Which.
        files: Files,
    },
    /// Pins the first page of so many ranges of the file `pins`, until the turn's end.
    Pin {
        /// The folder with the file.
        dir: String,
        /// How many.
        ranges: u64,
    },
    /// Drops the guest's caches, opens and maps the files, and warms up where the work says so.
    Prepare {
        /// The folder with the files.
        dir: String,
        /// What is to be done then.
        work: Work,
        /// What the pages that are written get as their version; and what decides chance.
        turn: u64,
    },
    /// Begins to count what the guest's driver does with its window.
    Trace,
    /// What it has done since.
    Counts,
    /// Does what is prepared, for so long at most.
    Run {
        /// Milliseconds.
        limit_ms: u64,
    },
    /// Looks whether what was written is there, closes the files, and lets go of pins.
    Finish,
}

/// What the program answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What came of the order; an error is in words.
    pub outcome: Result<Gave, String>,
}

/// What an order gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gave {
    /// Nothing but its end.
    Done,
    /// Of [`Order::Run`].
    Ran(Ran),
    /// Of [`Order::Counts`]; none where the kernel can't tell.
    Counts(Option<Counts>),
}

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// From the first access of the first thread to the last of the last, in nanoseconds.
    pub ns: u64,
    /// Each thread's part.
    pub threads: Vec<RanThread>,
    /// Whether some access did not end until the pins were let go of.
    pub stalled: bool,
    /// Who slept in Linux's DAX code meanwhile.
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
    /// Ranges that were taken from a file by whoever needed one.
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
