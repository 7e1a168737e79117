// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The threads that serve requests.
//!
//! virtiofsd's file system sets the umask and the working directory for single requests. Both
//! belong to the kernel's `fs_struct`, which the threads of a process share. So each thread that
//! serves requests gets its own `fs_struct` before its first request. Some containers forbid that.
//! A daemon with one request queue and no pool works there all the same, as virtiofsd does: one
//! thread serves all requests.

use std::cell::Cell;
use std::io;

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
    /// The window's thread cannot be started.
    #[error("cannot start the thread for mappings")]
    Window(#[source] io::Error),
    /// The thread of `ring::reminder` cannot be started.
    #[error("cannot start the thread that notifies the guest of finished requests")]
    Reminder(#[source] io::Error),
    /// The thread of `fs::kept` cannot be started.
    #[error("cannot start the thread that closes kept files")]
    Kept(#[source] io::Error),
    /// Threads for requests that may sleep can't be managed.
    #[error("cannot prepare threads for requests that may sleep")]
    Aside(#[source] io::Error),
    /// The pool's threads cannot be started.
    #[error("cannot start the pool of {size} threads")]
    Pool {
        /// The requested number of threads.
        size: usize,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

thread_local! {
    static PREPARED: Cell<bool> = const { Cell::new(false) };
}

/// Gives the calling thread an umask and a working directory of its own, once.
pub(crate) fn prepare() -> Result<(), ThreadsError> {
    if !PREPARED.get() {
        unshare(CloneFlags::CLONE_FS).map_err(ThreadsError::Unshare)?;
        PREPARED.set(true);
    }
    Ok(())
}

/// The queue-to-thread map: which thread takes requests off which queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueThreads {
    /// One thread takes and serves the requests of all queues.
    Alone,
    /// A thread for each queue. Thread and queue have the same number.
    OneEach,
}

impl QueueThreads {
    /// The threads for `request_queues` queues, with a pool of `pool_size` threads behind them.
    ///
    /// # Errors
    /// If several threads are needed to serve requests, and the kernel does not allow them.
    pub(crate) fn new(request_queues: u32, pool_size: usize) -> Result<Self, ThreadsError> {
        if request_queues == 1 && pool_size == 0 {
            return Ok(Self::Alone);
        }
        // Tried now, so that a failure does not first show at a thread's first request.
        prepare()?;
        Ok(Self::OneEach)
    }

    /// For each thread, its queues as bits, as vhost-user-backend wants it.
    pub(crate) fn queues_per_thread(self, queues: usize) -> Vec<u64> {
        let each = (0..queues).map(|queue| 1 << queue);
        match self {
            Self::Alone => vec![each.sum()],
            Self::OneEach => each.collect(),
        }
    }

    /// The queue that is the `index`th of a thread.
    pub(crate) fn queue(self, thread: usize, index: usize) -> usize {
        match self {
            Self::Alone => index,
            Self::OneEach => thread,
        }
    }

    /// Prepares the calling thread to serve requests.
    ///
    /// # Errors
    /// If the kernel refuses what it granted to [`Self::new`]. To go on would mix the umasks of
    /// requests.
    pub(crate) fn prepare_worker(self) -> Result<(), ThreadsError> {
        match self {
            Self::Alone => Ok(()),
            Self::OneEach => prepare(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QueueThreads;

    #[test]
    fn one_request_queue_without_a_pool_needs_nothing_of_the_kernel() {
        let queue_threads = QueueThreads::new(1, 0).expect("nothing to refuse");
        assert_eq!(queue_threads, QueueThreads::Alone);
        assert_eq!(queue_threads.queues_per_thread(2), [0b11]);
        assert_eq!([0, 1].map(|index| queue_threads.queue(0, index)), [0, 1]);
    }

    #[test]
    fn several_queues_have_a_thread_each() {
        for (request_queues, pool_size) in [(3, 0), (3, 2), (1, 1)] {
            let queue_threads =
                QueueThreads::new(request_queues, pool_size).expect("a host that allows it");
            assert_eq!(queue_threads, QueueThreads::OneEach);
        }
        assert_eq!(
            QueueThreads::OneEach.queues_per_thread(3),
            [0b001, 0b010, 0b100]
        );
        assert_eq!(
            [0, 1, 2].map(|thread| QueueThreads::OneEach.queue(thread, 0)),
            [0, 1, 2]
        );
    }
}
