// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where daemon and driver run. At depth 1 a request is two wake-ups. Their cost depends on the
//! scheduler's placement of both: two processors, of which one sleeps, cost several times as much
//! as a single one. Without a fixed placement the cost switches between the two, and hides all
//! other effects.

use std::fs;

use rustix::{
    io,
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use super::ProcessTree;

/// The placement of a side with one request queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Requests at depth 1 in both ways, as two points; other work at depth 1 together; else apart.
    Auto,
    /// Left to the scheduler.
    No,
    /// Daemon and driver on different processors.
    Apart,
    /// Daemon and driver on one processor.
    Together,
}

/// The earlier processors of this thread, which are restored on drop.
#[derive(Debug)]
pub struct Pinned(CpuSet);

impl Affinity {
    /// The placement for this number of requests in flight.
    #[must_use]
    pub fn at_depth(self, depth: u32) -> Self {
        match (self, depth) {
            (Self::Auto, 1) => Self::Together,
            (Self::Auto, _) => Self::Apart,
            (given, _) => given,
        }
    }

    /// The placements in which requests are measured at this depth, each with what a point's name says of it.
    #[must_use]
    pub fn all_at_depth(self, depth: u32) -> Vec<(Self, &'static str)> {
        match (self, depth) {
            (Self::Auto, 1) => vec![(Self::Together, ""), (Self::Apart, "-apart")],
            _ => vec![(self.at_depth(depth), "")],
        }
    }

    /// Binds this thread, and all threads that it starts, to the driver's processors.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn driver(self) -> io::Result<Pinned> {
        let before = sched_getaffinity(None)?;
        sched_setaffinity(None, &self.choice(before, 0))?;
        Ok(Pinned(before))
    }

    /// Binds all threads of a daemon's processes to the daemon's processors.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn daemon(self, processes: &ProcessTree) -> io::Result<()> {
        let chosen = self.choice(sched_getaffinity(None)?, 1);
        let folders = processes.pids().map(|pid| format!("/proc/{pid}/task"));
        let threads = folders.flat_map(fs::read_dir).flatten().flatten();
        let numbers = threads.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        for thread in numbers.filter_map(Pid::from_raw) {
            match sched_setaffinity(Some(thread), &chosen) {
                // The thread has ended meanwhile.
                Err(io::Errno::SRCH) => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// The processor for this place among the permitted ones; all of them if the scheduler decides.
    fn choice(self, allowed: CpuSet, place: usize) -> CpuSet {
        let all: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|cpu| allowed.is_set(*cpu))
            .collect();
        let one = match self {
            Self::Auto | Self::No => None,
            Self::Apart => all.get(place % all.len().max(1)),
            Self::Together => all.first(),
        };
        one.map_or(allowed, |cpu| {
            let mut only = CpuSet::new();
            only.set(*cpu);
            only
        })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // These processors were permitted before.
        let _ = sched_setaffinity(None, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(set: CpuSet) -> Vec<usize> {
        (0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect()
    }

    #[test]
    fn each_place_is_a_processor_of_those_allowed() {
        let mut allowed = CpuSet::new();
        allowed.set(3);
        allowed.set(5);
        let at = |affinity: Affinity, place| places(affinity.choice(allowed, place));
        assert_eq!([at(Affinity::Apart, 0), at(Affinity::Apart, 1)], [[3], [5]]);
        assert_eq!(
            [at(Affinity::Together, 0), at(Affinity::Together, 1)],
            [[3], [3]]
        );
        assert_eq!([at(Affinity::No, 0), at(Affinity::No, 1)], [[3, 5], [3, 5]]);
        allowed.unset(5);
        assert_eq!(
            places(Affinity::Apart.choice(allowed, 1)),
            [3],
            "there is one only"
        );
    }

    #[test]
    fn a_thread_is_kept_and_let_go() {
        let now = || places(sched_getaffinity(None).unwrap());
        let before = now();
        let driver = Affinity::Auto.at_depth(1).driver().unwrap();
        assert_eq!(now(), before[..1]);
        drop(driver);
        assert_eq!(now(), before);
    }
}
