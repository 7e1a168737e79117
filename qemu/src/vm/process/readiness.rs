// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Waiting until a file descriptor is readable.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Watches `fd` for being readable.
///
/// # Panics
/// Outside of a tokio runtime.
pub(super) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor must stay open and the same until it is deregistered. `AsyncFd` owns
    // it, deregisters before it closes it, and gives out only shared references to an `OwnedFd`.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}
