// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The identity of the serving thread, and its directories.
//!
//! For some system calls the file system takes the identity of the guest's user. For others it
//! changes umask, working directory and capabilities. A change that is not undone would affect the
//! next request.

use rustix::fs::{Gid, Mode, Stat};
use rustix::thread::CapabilitySets;

/// The properties that must not change.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    umask: u32,
    capabilities: CapabilitySets,
    /// Device and inode of the working directory and of the root.
    places: [(u64, u64); 2],
}

impl Identity {
    /// The identity of the calling thread.
    pub(super) fn of_this_thread() -> Self {
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

    /// Compares with the calling thread, and restores the thread's identity.
    pub(super) fn check(&self) {
        let now = Self::of_this_thread();
        if *self != now {
            let group = Gid::from_raw(self.group);
            let restored = rustix::thread::set_thread_res_gid(group, group, group);
            rustix::process::umask(Mode::from_raw_mode(self.umask));
            panic!("the thread was {self:?} and is {now:?}; restored: {restored:?}");
        }
    }
}
