// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One thread's accesses.

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::buffer::Buffer;
use super::opened::Opened;
use super::ticks::{Rate, Ticks};
use super::{Access, PAGE, Place, RanThread, Stamp, Temperature, Walk, Work, fill};
use crate::worker::Fault;

/// How many of the last writes are verified.
const KEPT: usize = 64;
/// Decimal digits to which latencies are told apart.
const DIGITS: u8 = 2;

/// A thread's state from turn to turn.
pub(super) struct Lane<'a> {
    work: &'a Work,
    opened: &'a Opened,
    thread: u32,
    version: u64,
    walk: Walk,
    buffer: Buffer,
    /// Where it wrote last, as a ring.
    written: Vec<u64>,
    writes: usize,
}

/// When a lane's accesses end.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// After a pass, or so long.
    Pass(Duration),
    /// After so long.
    Time(Duration),
}

/// What a lane measured, in ticks.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) from: Ticks,
    pub(super) to: Ticks,
    accesses: u64,
    bytes: u64,
    latencies: Histogram<u64>,
}

impl End {
    /// That of a work's turn.
    pub(super) fn of(work: &Work, limit: Duration) -> Self {
        match (work.temperature, work.access) {
            (Temperature::Cold, _) | (_, Access::Extend) => Self::Pass(limit),
            (Temperature::Warm, _) => Self::Time(limit),
        }
    }
}

impl<'a> Lane<'a> {
    pub(super) fn new(work: &'a Work, opened: &'a Opened, thread: u32, turn: u64) -> Self {
        Self {
            work,
            opened,
            thread,
            version: turn,
            walk: Walk::new(work, thread, turn),
            buffer: Buffer::new(work.block() as usize),
            written: Vec::with_capacity(KEPT),
            writes: 0,
        }
    }

    /// Runs accesses until the end. Counts each finished one in `done`, for a watching thread.
    pub(super) fn run(
        &mut self,
        end: End,
        rate: Rate,
        done: &AtomicU64,
    ) -> Result<Measured, Fault> {
        let latencies = Histogram::new(DIGITS).expect("as many digits as the crate takes");
        let (most, limit) = match end {
            End::Pass(limit) => (self.walk.pass, limit),
            End::Time(limit) => (u64::MAX, limit),
        };
        let limit = rate.ticks(limit);
        let from = Ticks::now();
        let mut measured = Measured {
            from,
            to: from,
            accesses: 0,
            bytes: 0,
            latencies,
        };
        while measured.accesses < most && measured.to.since(from) < limit {
            let offset = self.walk.step();
            self.access(offset)?;
            measured.ended(self.work.block());
            done.store(measured.accesses, Ordering::Relaxed);
        }
        Ok(measured)
    }

    /// The place of a byte of the working set. A file that grows has the thread's part of it.
    fn place(&self, offset: u64) -> Place {
        let first = u64::from(self.thread) * self.walk.pass * self.work.block();
        match self.work.access {
            Access::Extend => Place {
                file: self.thread.into(),
                at: offset - first,
            },
            _ => self.work.files.place(offset),
        }
    }

    fn access(&mut self, offset: u64) -> Result<(), Fault> {
        let place = self.place(offset);
        let Place { file, at } = place;
        match self.work.access {
            Access::Read => {
                let read = self.opened.file(file).read_at(&mut self.buffer, at);
                self.whole("read", place, read)?;
                for (page, at) in (at..).step_by(PAGE as usize).enumerate().take(self.pages()) {
                    let stamp = Stamp::read(&self.buffer[page * PAGE as usize..]);
                    self.right(Place { file, at }, stamp)?;
                }
            }
            Access::Load => {
                let mapping = self.opened.mapping(file);
                let (identity, version) = (mapping.load_word(at), mapping.load_word(at + 8));
                self.right(place, Stamp { identity, version })?;
            }
            Access::Store => {
                let stamp = Stamp::of(self.work.files, file, at, self.version);
                let mapping = self.opened.mapping(file);
                mapping.store_word(at, stamp.identity);
                mapping.store_word(at + 8, stamp.version);
                self.wrote(offset);
            }
            Access::Write | Access::Extend => {
                fill(&mut self.buffer, self.work.files, file, at, self.version);
                let wrote = self.opened.file(file).write_at(&self.buffer, at);
                self.whole("write", place, wrote)?;
                self.wrote(offset);
            }
        }
        Ok(())
    }

    fn pages(&self) -> usize {
        self.buffer.len() / PAGE as usize
    }

    fn wrote(&mut self, offset: u64) {
        match self.written.len() {
            KEPT => self.written[self.writes % KEPT] = offset,
            _ => self.written.push(offset),
        }
        self.writes += 1;
    }

    fn whole(&self, doing: &str, place: Place, moved: std::io::Result<usize>) -> Result<(), Fault> {
        let path = || self.opened.path(self.work, place.file);
        let moved = moved
            .map_err(|error| Fault::of(format!("{doing} {}, byte {}", path(), place.at))(error))?;
        let wanted = self.buffer.len();
        if moved == wanted {
            return Ok(());
        }
        Err(self.wrong(
            place,
            format!("{moved} bytes were moved in place of {wanted}"),
        ))
    }

    /// Whether a page is the one that belongs there.
    fn right(&self, place: Place, stamp: Stamp) -> Result<(), Fault> {
        let wanted = Stamp::of(self.work.files, place.file, place.at, 0).identity;
        if stamp.identity == wanted {
            return Ok(());
        }
        Err(self.wrong(
            place,
            format!(
                "the page has the stamp {:x}, but {wanted:x} belongs there",
                stamp.identity
            ),
        ))
    }

    fn wrong(&self, place: Place, what: String) -> Fault {
        let path = self.opened.path(self.work, place.file);
        Fault::new(format!("{path}, byte {}", place.at), what)
    }

    /// Verifies the last writes by read(2), whatever the means of the writes.
    pub(super) fn look_at_writes(&self) -> Result<(), Fault> {
        for offset in &self.written {
            let place = self.place(*offset);
            let mut page = [0; Stamp::LEN];
            let read = self
                .opened
                .file(place.file)
                .read_exact_at(&mut page, place.at);
            read.map_err(Fault::of("reading what was written"))?;
            let stamp = Stamp::read(&page);
            self.right(place, stamp)?;
            if stamp.version != self.version {
                let (wanted, found) = (self.version, stamp.version);
                return Err(self.wrong(
                    place,
                    format!("written by turn {wanted}, but what turn {found} wrote is read"),
                ));
            }
        }
        Ok(())
    }
}

impl Measured {
    fn ended(&mut self, bytes: u64) {
        let now = Ticks::now();
        self.latencies += now.since(self.to).max(1);
        self.to = now;
        self.accesses += 1;
        self.bytes += bytes;
    }

    /// In nanoseconds.
    pub(super) fn told(&self, rate: Rate) -> RanThread {
        let latency = |one: hdrhistogram::iterators::IterationValue<u64>| {
            (rate.ns(one.value_iterated_to()), one.count_at_value())
        };
        RanThread {
            accesses: self.accesses,
            bytes: self.bytes,
            latencies: self.latencies.iter_recorded().map(latency).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
