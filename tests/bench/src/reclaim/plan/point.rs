// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A point: one kind of work on one working set.

use dax_measure::words;
use guest_agent::workload::{Access, RANGE, Temperature, Work};

words! {
    /// The part of the window that is pinned meanwhile.
    Pins {
        /// Nothing.
        None = "none",
        /// A quarter of the window's ranges.
        Quarter = "quarter",
        /// All ranges except two.
        Most = "most",
    }
}

/// A measurement that all sides make.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The work.
    pub work: Work,
    /// The size of the working set in windows.
    pub times: f64,
    /// The part of the window that is pinned.
    pub pins: Pins,
}

impl Pins {
    /// The number of ranges, in a window of this size.
    pub fn ranges(self, window: u64) -> u64 {
        let ranges = window / RANGE;
        match self {
            Self::None => 0,
            Self::Quarter => ranges / 4,
            Self::Most => ranges.saturating_sub(2),
        }
    }
}

impl Point {
    /// The name: `load-seq-cold/2x`, followed by all settings that differ from the usual ones.
    pub fn name(&self) -> String {
        let Work {
            access,
            pattern,
            temperature,
            files,
            threads,
        } = &self.work;
        let mut name = format!("{access}-{}", pattern.name());
        if *access != Access::Extend {
            name += &format!("-{}", temperature.name());
        }
        name += &format!("/{}x", self.times);
        if files.size != USUAL_FILE {
            name += &format!("/{}", size(files.size));
        }
        if *threads != 1 {
            name += &format!("/{threads}t");
        }
        if self.pins != Pins::None {
            name += &format!("/pins-{}", self.pins.name());
        }
        name
    }

    /// A description for people.
    pub fn about(&self) -> String {
        let Work {
            access,
            pattern,
            temperature,
            files,
            threads,
        } = &self.work;
        let access = match access {
            Access::Read => "read(2)",
            Access::Write => "write(2)",
            Access::Load => "loads from a mapping",
            Access::Store => "stores to a mapping",
            Access::Extend => "write(2) at the end of growing files",
        };
        let temperature = match temperature {
            Temperature::Cold => "caches empty",
            Temperature::Warm => "caches warm",
        };
        format!(
            "{access}, {}, {temperature}, {} in files of {}, {threads} thread{}, pinned: {}",
            pattern.name(),
            size(files.working),
            size(files.size),
            if *threads == 1 { "" } else { "s" },
            self.pins.name()
        )
    }
}

/// The default size of files.
pub const USUAL_FILE: u64 = 4 << 20;

fn size(bytes: u64) -> String {
    match bytes {
        ..0x10_0000 => format!("{}K", bytes >> 10),
        _ => format!("{}M", bytes as f64 / f64::from(1 << 20)),
    }
}
