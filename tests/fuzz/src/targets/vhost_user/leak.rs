// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A descriptor that vhost-user-backend 0.24 leaves open, one for each thread of queues. The
//! library adds the reading end of its exit event to its epoll set, and never closes it.
//!
//! The daemon serves one session and exits, but here thousands of descriptors would pile up. So
//! this module closes the known one. Any other open descriptor is for the oracle to detect.

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

    /// Closes the descriptor that is known to be left, if it is.
    pub(super) fn close_leaked(&self) {
        let left = descriptors::numbers()
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
