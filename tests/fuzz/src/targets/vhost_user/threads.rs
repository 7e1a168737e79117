// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Counts threads.

use std::cell::OnceCell;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

/// Between two looks.
const A_MOMENT: Duration = Duration::from_micros(50);

thread_local! {
    /// `/proc/self/task`. A thread opens it once, because there is no /proc in the chroot.
    static TASKS: OnceCell<OwnedFd> = const { OnceCell::new() };
}

/// The number of threads at one moment.
pub(super) struct Threads(u64);

impl Threads {
    pub(super) fn now() -> Self {
        TASKS.with(|tasks| {
            let tasks = tasks.get_or_init(|| {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::open("/proc/self/task", flags, Mode::empty()).expect("/proc")
            });
            // The directory has one subdirectory for each thread.
            Self(rustix::fs::fstat(tasks).expect("a directory").st_nlink)
        })
    }

    /// Waits until there are no more threads than these.
    ///
    /// # Panics
    /// If that takes too long.
    /// When that takes too long.
    pub(super) fn wait_for_the_others(&self, at_most: Duration) {
        let begin = Instant::now();
        while Self::now().0 > self.0 {
            assert!(
                begin.elapsed() < at_most,
                "waited {at_most:?} for the session's threads: there were {} and are {}",
                self.0,
                Self::now().0
            );
            thread::sleep(A_MOMENT);
        }
    }
}
