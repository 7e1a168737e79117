// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Who the serving thread is and where.
//!
//! The file system becomes the guest's user for single system calls, and changes umask, working
//! directory and capabilities for others. What it forgets to undo would serve the next request.

use rustix::fs::{Gid, Mode, Stat};
use rustix::thread::CapabilitySets;

/// What must not change.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    umask: u32,
    capabilities: CapabilitySets,
    /// Device and inode of the working directory and of the root.
    places: [(u64, u64); 2],
}

impl Identity {
    /// Of the calling thread.
    ///
    /// # Panics
    /// When the system doesn't say.
    #[must_use]
    pub fn of_this_thread() -> Self {
        let umask = rustix::process::umask(Mode::empty());
        rustix::process::umask(umask);
        let place = |stat: Stat| (stat.st_dev, stat.st_ino);
        let at = |path| place(rustix::fs::stat(path).expect("a directory"));
        let groups = rustix::process::getgroups().expect("getgroups");
        Self {
            user: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
            umask: umask.bits(),
            capabilities: rustix::thread::capabilities(None).expect("capget"),
            places: [at("."), at("/")],
        }
    }

    /// Compares with the calling thread, and makes it what it was.
    ///
    /// # Panics
    /// When it has changed.
    pub fn check(&self) {
        let now = Self::of_this_thread();
        if *self != now {
            let group = Gid::from_raw(self.group);
            let restored = rustix::thread::set_thread_res_gid(group, group, group);
            rustix::process::umask(Mode::from_raw_mode(self.umask));
            panic!("the thread was {self:?} and is {now:?}; restored: {restored:?}");
        }
    }
}
