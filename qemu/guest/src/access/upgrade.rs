// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Readers watch a read-only range while a writer makes it writable.
//!
//! Linux upgrades a range by a request for the same mapping, with the write flag. A server that
//! unmaps before it maps leaves a hole under the readers, and a hole reads as zero. The file holds
//! no zero byte ([`crate::pattern`]), so any zero that a reader loads is a hole.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use serde::{Deserialize, Serialize};

use super::sweep::RANGE;
use super::{Hold, StoreBytes, map, open};
use crate::files::Mapping;
use crate::worker::{ARGUMENT, Answer, Fault, HandleTable, Op, Request};

/// Readers look at this many places of a range in one pass.
const PLACES: usize = 64;
/// How many readers watch.
const READERS: usize = 2;
/// The name of the mapping in another writer's handle table.
const MAP: &str = "map";

/// Makes each range of a file writable while readers watch it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upgrade {
    /// A file of whole ranges of 2 MiB without a zero byte, not touched since it was mounted.
    pub path: PathBuf,
    pub writer: Who,
}

/// The kind of writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A thread of the readers' process.
    Thread,
    /// Another process, with a mapping and page tables of its own.
    Process,
}

/// The readers' observations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// Ranges that were made writable.
    pub ranges: usize,
    /// Passes of all readers over a range.
    pub passes: u64,
    /// Zeros that they loaded.
    pub holes: u64,
}

/// The state that writer and readers share.
struct Watch {
    /// The range that readers look at; past the last one they leave.
    range: AtomicUsize,
    /// Passes over the current range that each reader has finished.
    passes: Vec<AtomicU64>,
    holes: AtomicU64,
}

impl Op for Upgrade {
    const NAME: &'static str = "upgrade";
    type Yield = Upgraded;

    fn run(self, _: &mut HandleTable) -> Result<Upgraded, Fault> {
        let reading = map(&open(&self.path, false)?, false)?;
        let ranges = reading.size() / RANGE as usize;
        if ranges == 0 {
            return Err(Fault::new(
                "watching ranges",
                "the file is shorter than one range",
            ));
        }
        let watch = Watch {
            range: AtomicUsize::new(0),
            passes: (0..READERS).map(|_| AtomicU64::new(0)).collect(),
            holes: AtomicU64::new(0),
        };
        thread::scope(|scope| {
            for me in 0..READERS {
                let (watch, reading) = (&watch, &reading);
                scope.spawn(move || look(watch, reading, ranges, me));
            }
            let written = Writer::open(self.writer, &self.path)
                .and_then(|writer| write_each(&watch, writer, ranges));
            watch.range.store(ranges, Ordering::Release);
            written
        })?;
        Ok(Upgraded {
            ranges,
            passes: watch.passes.iter().map(|p| p.load(Ordering::Relaxed)).sum(),
            holes: watch.holes.load(Ordering::Relaxed),
        })
    }
}

fn look(watch: &Watch, reading: &Mapping, ranges: usize, me: usize) {
    let stride = RANGE as usize / PLACES;
    loop {
        let range = watch.range.load(Ordering::Acquire);
        if range >= ranges {
            return;
        }
        for place in 0..PLACES {
            if reading.load_word(range as u64 * RANGE + (place * stride) as u64) == 0 {
                watch.holes.fetch_add(1, Ordering::Relaxed);
            }
        }
        watch.passes[me].fetch_add(1, Ordering::Release);
    }
}

fn write_each(watch: &Watch, mut writer: Writer, ranges: usize) -> Result<(), Fault> {
    for range in 0..ranges {
        watch.range.store(range, Ordering::Release);
        everyone_passes(watch);
        // The last byte: no reader loads it, so its new value can't be mistaken for a hole.
        writer.write((range as u64 + 1) * RANGE - 1)?;
        everyone_passes(watch);
    }
    writer.close()
}

/// Writes bytes through a mapping.
enum Writer {
    Here(Mapping),
    /// Another worker.
    There {
        child: Child,
        requests: ChildStdin,
        answers: BufReader<ChildStdout>,
    },
}

impl Writer {
    fn open(who: Who, path: &Path) -> Result<Self, Fault> {
        if who == Who::Thread {
            return Ok(Self::Here(map(&open(path, true)?, true)?));
        }
        let failed = || "starting the writer";
        let program = env::current_exe().map_err(Fault::of(failed()))?;
        let mut child = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Fault::of(failed()))?;
        let mut writer = Self::There {
            requests: child.stdin.take().expect("it is piped"),
            answers: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
        };
        writer.ask(&Hold {
            name: MAP.to_owned(),
            path: path.to_owned(),
            write: true,
        })?;
        Ok(writer)
    }

    fn write(&mut self, offset: u64) -> Result<(), Fault> {
        let bytes = vec![0xff];
        match self {
            Self::Here(mapping) => mapping.write(offset as usize, &bytes),
            Self::There { .. } => self.ask(&StoreBytes {
                map: MAP.to_owned(),
                at: offset as usize,
                bytes,
            }),
        }
    }

    fn ask<O: Op>(&mut self, op: &O) -> Result<(), Fault> {
        let Self::There {
            requests, answers, ..
        } = self
        else {
            return Ok(());
        };
        let request = serde_json::to_string(&Request::of(op)).expect("a request is plain data");
        let mut answer = String::new();
        let read = writeln!(requests, "{request}").and_then(|()| answers.read_line(&mut answer));
        read.map_err(Fault::of("asking the writer"))?;
        let answer: Answer = serde_json::from_str(&answer)
            .map_err(|error| Fault::new("asking the writer", error.to_string()))?;
        answer.outcome.map(drop)
    }

    fn close(self) -> Result<(), Fault> {
        let Self::There {
            mut child,
            requests,
            ..
        } = self
        else {
            return Ok(());
        };
        // The writer ends at the end of its input.
        drop(requests);
        let status = child.wait().map_err(Fault::of("ending the writer"))?;
        if !status.success() {
            return Err(Fault::new("ending the writer", status.to_string()));
        }
        Ok(())
    }
}

/// Waits until every reader has begun and finished a pass from now on.
fn everyone_passes(watch: &Watch) {
    // Two passes: the first one counted may have begun before.
    let seen: Vec<u64> = watch
        .passes
        .iter()
        .map(|p| p.load(Ordering::Acquire))
        .collect();
    for (passes, seen) in watch.passes.iter().zip(seen) {
        while passes.load(Ordering::Acquire) < seen + 2 {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pattern::{self, Seed};

    fn holes(content: &[u8]) -> u64 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, content).unwrap();
        let writer = Who::Thread;
        let upgrade = Upgrade { path, writer };
        upgrade.run(&mut HandleTable::default()).unwrap().holes
    }

    #[test]
    fn a_whole_file_has_no_hole_and_one_with_a_zero_word_has() {
        let mut content = vec![0; 2 * RANGE as usize];
        pattern::fill(Seed(3), 0, &mut content);
        assert_eq!(holes(&content), 0);
        content[RANGE as usize..RANGE as usize + 8].fill(0);
        assert_ne!(holes(&content), 0);
    }
}
