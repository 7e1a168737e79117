// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where daemon and driver run. At depth 1 a request is two wake-ups, and what these cost depends
//! on where the scheduler has put the two: on one processor, or on two of which one sleeps, which
//! is several times as much. Left alone they change between both, and drown everything else.

use rustix::{
    io,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// On which processors a side with one request queue runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Wherever the scheduler puts it.
    No,
    /// The daemon on one, the driver on another.
    Apart,
    /// Both on one.
    Together,
}

/// The processors of this thread, given back when it is dropped.
#[derive(Debug)]
pub struct Pinned(CpuSet);

impl Pin {
    /// Keeps this thread, and all that it starts, where daemons are.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn daemon(self) -> io::Result<Pinned> {
        self.keep(1)
    }

    /// Keeps this thread, and all that it starts, where the driver is.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn driver(self) -> io::Result<Pinned> {
        self.keep(0)
    }

    fn keep(self, place: usize) -> io::Result<Pinned> {
        let before = sched_getaffinity(None)?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|cpu| before.is_set(*cpu))
            .collect();
        let place = match self {
            Self::No => None,
            Self::Apart => allowed.get(place % allowed.len().max(1)),
            Self::Together => allowed.first(),
        };
        if let Some(cpu) = place {
            let mut only = CpuSet::new();
            only.set(*cpu);
            sched_setaffinity(None, &only)?;
        }
        Ok(Pinned(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed a moment ago.
        let _ = sched_setaffinity(None, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Vec<usize> {
        let now = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU)
            .filter(|cpu| now.is_set(*cpu))
            .collect()
    }

    #[test]
    fn a_thread_is_kept_and_let_go() {
        let before = places();
        let daemon = Pin::Together.daemon().unwrap();
        assert_eq!(places(), before[..1]);
        drop(daemon);
        assert_eq!(places(), before);
        let driver = Pin::Apart.daemon().unwrap();
        assert_eq!(places(), [before[1 % before.len()]]);
        drop(driver);
        let _free = Pin::No.driver().unwrap();
        assert_eq!(places(), before);
    }
}
