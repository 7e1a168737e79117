// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Readers of a read-only range watch it while a writer makes it writable.
//!
//! Linux upgrades a range by asking for the same mapping again, with the write flag. A server that
//! unmaps before it maps leaves a hole under the readers, and a hole reads as zero. The file holds
//! no zero byte ([`crate::pattern`]), so any zero that a reader loads is a hole.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};

use crate::access::{Access, How, Intent, Mapping};
use crate::cli::Verdict;
use crate::commands::sweep::RANGE;

/// Readers look at this many places of a range in one pass.
const PLACES: usize = 64;

/// Pass where no reader ever loaded a zero; prints `ranges=N passes=M holes=K`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file of whole ranges of 2 MiB without a zero byte, not touched since it was mounted.
    path: PathBuf,
    /// How many readers watch.
    #[arg(long, default_value_t = 2)]
    readers: usize,
    /// Who writes.
    #[arg(long, value_enum, default_value_t = Who::Thread)]
    writer: Who,
}

/// Who makes the ranges writable.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Who {
    /// A thread of the readers' process.
    Thread,
    /// Another process, with a mapping and page tables of its own.
    Process,
}

/// What writer and readers tell each other.
struct Watch {
    /// The range that readers look at; past the last one they leave.
    range: AtomicUsize,
    /// Passes over the current range that each reader has finished.
    passes: Vec<AtomicU64>,
    holes: AtomicU64,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let reading = Mapping::new(&args.path, Intent::Read)?;
    let ranges = reading.len() / RANGE as usize;
    ensure!(ranges > 0, "the file is shorter than one range");
    ensure!(args.readers > 0, "there is nobody to watch");
    let watch = Watch {
        range: AtomicUsize::new(0),
        passes: (0..args.readers).map(|_| AtomicU64::new(0)).collect(),
        holes: AtomicU64::new(0),
    };
    let written = thread::scope(|scope| {
        for me in 0..args.readers {
            let (watch, reading) = (&watch, &reading);
            scope.spawn(move || look(watch, reading, ranges, me));
        }
        let written = Writer::open(args.writer, &args.path)
            .and_then(|writer| write_each(&watch, writer, ranges));
        watch.range.store(ranges, Ordering::Release);
        written
    });
    written?;
    let passes: u64 = watch.passes.iter().map(|p| p.load(Ordering::Relaxed)).sum();
    let holes = watch.holes.load(Ordering::Relaxed);
    println!("ranges={ranges} passes={passes} holes={holes}");
    Ok(Verdict::from_bool(holes == 0))
}

fn look(watch: &Watch, reading: &Mapping, ranges: usize, me: usize) {
    let stride = RANGE as usize / PLACES;
    loop {
        let range = watch.range.load(Ordering::Acquire);
        if range >= ranges {
            return;
        }
        for place in 0..PLACES {
            if reading.load_word(range * RANGE as usize + place * stride) == 0 {
                watch.holes.fetch_add(1, Ordering::Relaxed);
            }
        }
        watch.passes[me].fetch_add(1, Ordering::Release);
    }
}

fn write_each(watch: &Watch, mut writer: Writer, ranges: usize) -> Result<()> {
    for range in 0..ranges {
        watch.range.store(range, Ordering::Release);
        everyone_passes(watch);
        // The last byte: no reader looks there, so its new value can't be mistaken for a hole.
        writer.write((range as u64 + 1) * RANGE - 1)?;
        everyone_passes(watch);
    }
    writer.close()
}

/// Writes bytes through a mapping.
enum Writer {
    Here(Access),
    /// This program's `hold`, which takes commands and answers.
    There {
        child: Child,
        commands: ChildStdin,
        answers: BufReader<ChildStdout>,
    },
}

impl Writer {
    fn open(who: Who, path: &Path) -> Result<Self> {
        if let Who::Thread = who {
            return Ok(Self::Here(Access::open(path, How::Mmap, Intent::Write)?));
        }
        let mut child = Command::new(env::current_exe()?)
            .arg("hold")
            .arg(path)
            .args(["--how", "mmap", "--write"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start the writer")?;
        let commands = child.stdin.take().context("no way to the writer")?;
        let answers = BufReader::new(child.stdout.take().context("no way from the writer")?);
        let mut writer = Self::There {
            child,
            commands,
            answers,
        };
        writer.expect("ready")?;
        Ok(writer)
    }

    fn write(&mut self, offset: u64) -> Result<()> {
        match self {
            Self::Here(access) => Ok(access.write(offset, &[0xff])?),
            Self::There { commands, .. } => {
                writeln!(commands, "store {offset} ff")?;
                self.expect("stored")
            }
        }
    }

    fn expect(&mut self, expected: &str) -> Result<()> {
        let Self::There { answers, .. } = self else {
            return Ok(());
        };
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        ensure!(answer.trim_end() == expected, "the writer said {answer:?}");
        Ok(())
    }

    fn close(self) -> Result<()> {
        let Self::There {
            mut child,
            commands,
            ..
        } = self
        else {
            return Ok(());
        };
        // The end of its input is the end of the writer.
        drop(commands);
        let status = child.wait()?;
        ensure!(status.success(), "the writer ended with {status}");
        Ok(())
    }
}

/// Waits until every reader has begun and finished a pass from now on.
fn everyone_passes(watch: &Watch) {
    // Two: the first to be counted may have begun before.
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

    fn upgrade(content: &[u8]) -> Verdict {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, content).unwrap();
        let args = Args {
            path,
            readers: 2,
            writer: Who::Thread,
        };
        run(&args).unwrap()
    }

    #[test]
    fn a_whole_file_has_no_hole_and_one_with_a_zero_word_has() {
        let mut content = vec![0; 2 * RANGE as usize];
        pattern::fill(Seed(3), 0, &mut content);
        assert_eq!(upgrade(&content), Verdict::Pass);
        content[RANGE as usize..RANGE as usize + 8].fill(0);
        assert_eq!(upgrade(&content), Verdict::Fail);
    }
}
