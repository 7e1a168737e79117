// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A descriptor that vhost-user-backend 0.24 leaves open, one for each thread of queues: the end of
//! its exit event that it waits for goes to its epoll set, and to nobody who would close it.
//!
//! The daemon serves one session and ends; here thousands would pile up. So this one is closed, and
//! anything else that is left open is the oracle's.

use std::fs;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use crate::oracles::descriptors;

/// The descriptors before a session.
pub(super) struct Before(Vec<RawFd>);

impl Before {
    pub(super) fn now() -> Self {
        Self(descriptors::numbers())
    }

    /// Closes the one that is known to be left, if it is.
    pub(super) fn close_leaked(&self) {
        let left = descriptors::numbers()
            .into_iter()
            .find(|number| !self.0.contains(number) && is_event(*number));
        if let Some(number) = left {
            // SAFETY: it was opened after `self` was made and is no descriptor of this thread, and
            // all others have ended.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

fn is_event(number: RawFd) -> bool {
    let target = fs::read_link(format!("/proc/self/fd/{number}"));
    target.is_ok_and(|target| target == Path::new("anon_inode:[eventfd]"))
}
