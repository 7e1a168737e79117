// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The threads that serve requests.
//!
//! virtiofsd's file system sets the umask and the working directory for single requests. Both
//! belong to the kernel's `fs_struct`, which the threads of a process share; so each thread that
//! serves requests gets its own before its first one.

use std::cell::Cell;
use std::io;

use futures::executor::{ThreadPool, ThreadPoolBuilder};
use nix::sched::{CloneFlags, unshare};

/// Requests cannot be served by several threads.
#[derive(Debug, thiserror::Error)]
pub enum ThreadsError {
    /// `unshare(CLONE_FS)` failed; it needs no privilege, but some container set-ups forbid it.
    #[error(
        "several threads cannot have an umask each: unshare(CLONE_FS) failed; allow it in the \
         container's seccomp profile, or use one request queue and no thread pool"
    )]
    Unshare(#[source] nix::Error),
    /// No threads to be had.
    #[error("cannot start the pool of {size} threads")]
    Pool {
        /// Threads asked for.
        size: usize,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

thread_local! {
    static PREPARED: Cell<bool> = const { Cell::new(false) };
}

/// Gives the calling thread an umask and a working directory of its own, once.
///
/// # Errors
/// When the kernel, or a seccomp filter, forbids it.
pub(super) fn prepare() -> Result<(), ThreadsError> {
    if !PREPARED.replace(true) {
        unshare(CloneFlags::CLONE_FS).map_err(ThreadsError::Unshare)?;
    }
    Ok(())
}

/// Prepares a thread where [`prepare`] has succeeded on another one before.
pub(super) fn prepare_worker() {
    if let Err(error) = prepare() {
        // Not the guest's doing, and going on would mix the umasks of requests.
        panic!("unshare(CLONE_FS) worked before, but not now: {error}");
    }
}

/// A pool of `size` threads, or none.
///
/// # Errors
/// When the threads cannot be started or cannot have what they need.
pub(super) fn pool(size: usize) -> Result<Option<ThreadPool>, ThreadsError> {
    if size == 0 {
        return Ok(None);
    }
    ThreadPoolBuilder::new()
        .name_prefix("request-")
        .pool_size(size)
        .after_start(|_| prepare_worker())
        .create()
        .map(Some)
        .map_err(|source| ThreadsError::Pool { size, source })
}
