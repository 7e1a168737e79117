// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a session may leave behind for a moment: its threads, and a descriptor.

use std::cell::OnceCell;
use std::fs;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::oracles;

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

/// The descriptors before a session. vhost-user-backend 0.24 leaves one open for each thread of
/// queues: it adds the reading end of its exit event to its epoll set, and never closes it.
///
/// The daemon serves one session and exits, but here thousands of descriptors would pile up. So the
/// known one is closed. Any other open descriptor is for the oracle to detect.
pub(super) struct Descriptors(Vec<RawFd>);

impl Descriptors {
    pub(super) fn now() -> Self {
        Self(oracles::descriptors())
    }

    /// Closes the descriptor that is known to be left, if it is.
    pub(super) fn close_leaked(&self) {
        let left = oracles::descriptors()
            .into_iter()
            .find(|number| !self.0.contains(number) && is_event(*number));
        if let Some(number) = left {
            // SAFETY: the descriptor was opened after `self` was made, it belongs to no code of
            // this thread, and all other threads have ended.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

fn is_event(number: RawFd) -> bool {
    let target = fs::read_link(format!("/proc/self/fd/{number}"));
    target.is_ok_and(|target| target == Path::new("anon_inode:[eventfd]"))
}
