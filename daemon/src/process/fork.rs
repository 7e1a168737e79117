// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! fork(2), without exec.

use nix::unistd::{ForkResult, Pid};

use super::error::StartError;

/// Which process returns from a fork.
pub(super) enum Side {
    /// The one that called; it may wait for the child.
    Parent(Pid),
    /// The new one.
    Child,
}

/// Forks this process.
pub(super) fn fork() -> Result<Side, StartError> {
    // SAFETY: this process has one thread (start-up makes none before the last fork, which
    // `process`'s documentation lists as an invariant), so the child may go on like any process.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => Ok(Side::Child),
        Ok(ForkResult::Parent { child }) => Ok(Side::Parent(child)),
        Err(errno) => Err(StartError::system("fork")(errno.into())),
    }
}
