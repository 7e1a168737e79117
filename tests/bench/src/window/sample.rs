// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The turn of one side: it reads range after range until the time is up.

use std::time::{Duration, Instant};

use dax_measure::stats::Latencies;

use super::reader::{ReadError, Reader};
use crate::{
    files::RANGE,
    model::Round,
    samples::{Length, Sample},
    system::{Affinity, cpu_of_this_process},
};

/// Whether ranges are already set up and touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Each range is set up anew, which counts; its removal does not.
    First,
    /// All ranges are set up, and have been read.
    Warm,
}

/// A side.
pub struct WindowSide {
    pub name: String,
    pub reader: Reader,
    pub affinity: Affinity,
    /// The number of ranges in the file.
    pub ranges: u32,
    /// The buffer for bytes that the reader copies.
    pub into: Vec<u8>,
    next: u32,
}

impl WindowSide {
    /// A side without any range set up.
    pub fn new(name: &str, reader: Reader, affinity: Affinity, ranges: u32) -> Self {
        Self {
            name: name.to_owned(),
            reader,
            affinity,
            ranges,
            into: vec![0; RANGE as usize],
            next: 0,
        }
    }

    /// Reads until time is up.
    pub fn sample(&mut self, touch: Touch, length: Length) -> Result<Sample, ReadError> {
        let _pinned = self.affinity.driver();
        let begin = Instant::now() + length.lead_in;
        let end = begin + length.turn;
        let mut latencies = Latencies::new();
        let (mut time, mut cpu) = (Duration::ZERO, [Duration::ZERO; 2]);
        while Instant::now() < end || latencies.count() == 0 {
            let counts = Instant::now() >= begin;
            let range = self.next;
            self.next = (range + 1) % self.ranges;
            let (cpu_before, before) = (self.cpu(), Instant::now());
            if touch == Touch::First {
                self.reader.set_up(range)?;
            }
            self.reader.read(range, &mut self.into)?;
            let took = before.elapsed();
            let cpu_after = self.cpu();
            if touch == Touch::First {
                self.reader.remove(range)?;
            }
            if counts {
                latencies.record(took);
                time += took;
                for (sum, (after, before)) in cpu.iter_mut().zip(cpu_after.iter().zip(cpu_before)) {
                    *sum += *after - before;
                }
            }
        }
        let daemon = self.reader.running().is_some();
        let nanos = |cpu: Duration| cpu.as_nanos() as u64;
        let round = Round {
            daemon_cpu_ns: daemon.then(|| nanos(cpu[0])),
            driver_cpu_ns: nanos(cpu[1]),
            ..Round::new(&latencies, latencies.count() * RANGE, time)
        };
        Ok(Sample { round, latencies })
    }

    /// The processor time of daemon and driver.
    fn cpu(&self) -> [Duration; 2] {
        let daemon = self.reader.running().map(|running| running.processes.cpu());
        [daemon.unwrap_or_default(), cpu_of_this_process()]
    }
}
