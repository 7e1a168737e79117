// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The pool of threads that serve requests.
//!
//! A request is taken off its ring only for a thread that is free. To stop a ring is to wait for the
//! requests that were taken off it (see [`crate::ring::quiesce`]), so none of them may wait for a thread.
//! All threads may be inside window operations, where they wait for QEMU, which may be waiting for the
//! ring to stop.
//!
//! Owner: the queues' threads. They wait for [`Pool::free_thread`] before they take a request.

use std::sync::{Arc, mpsc};

use futures::executor::{ThreadPool, ThreadPoolBuilder};
use parking_lot::{Condvar, Mutex};

use crate::ring::threads::{ThreadsError, prepare};

struct Free {
    threads: usize,
    closed: bool,
}

struct Count {
    free: Mutex<Free>,
    changed: Condvar,
}

/// See the module's documentation.
pub(crate) struct Pool {
    threads: ThreadPool,
    count: Arc<Count>,
}

/// A thread that waits for one request.
pub(crate) struct FreeThread<'a> {
    threads: &'a ThreadPool,
    claim: Claim,
}

/// Dropping it makes the thread free.
struct Claim(Arc<Count>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.free.lock().threads += 1;
        self.0.changed.notify_one();
    }
}

impl Pool {
    /// A pool of `size` threads, or none.
    ///
    /// # Errors
    /// If the threads cannot be started or prepared.
    pub(crate) fn new(size: usize) -> Result<Option<Self>, ThreadsError> {
        if size == 0 {
            return Ok(None);
        }
        let (prepared, each) = mpsc::channel();
        let threads = ThreadPoolBuilder::new()
            .name_prefix("request-")
            .pool_size(size)
            // The receiver is gone once a thread has failed, and the other results don't matter
            // then.
            .after_start(move |_| drop(prepared.send(prepare())))
            .create()
            .map_err(|source| ThreadsError::Pool { size, source })?;
        each.iter().take(size).collect::<Result<(), _>>()?;
        let free = Mutex::new(Free {
            threads: size,
            closed: false,
        });
        let count = Arc::new(Count {
            free,
            changed: Condvar::new(),
        });
        Ok(Some(Self { threads, count }))
    }

    /// Waits for a thread that is free. Returns none when the pool is closed.
    pub(crate) fn free_thread(&self) -> Option<FreeThread<'_>> {
        let mut free = self.count.free.lock();
        self.count
            .changed
            .wait_while(&mut free, |free| free.threads == 0 && !free.closed);
        if free.closed {
            return None;
        }
        free.threads -= 1;
        Some(FreeThread {
            threads: &self.threads,
            claim: Claim(Arc::clone(&self.count)),
        })
    }

    /// Ends all waits for a free thread. Does not wait for threads that serve a request.
    pub(crate) fn close(&self) {
        self.count.free.lock().closed = true;
        self.count.changed.notify_all();
    }
}

impl FreeThread<'_> {
    /// Serves one request on this thread.
    pub(crate) fn run(self, serve: impl FnOnce() + Send + 'static) {
        let Self { threads, claim } = self;
        threads.spawn_ok(async move {
            serve();
            drop(claim);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::Pool;
    use crate::testing::{begun_in_background, expect, expect_to_wait};

    fn pool(size: usize) -> Arc<Pool> {
        Arc::new(Pool::new(size).expect("threads").expect("a pool"))
    }

    #[test]
    fn a_thread_is_free_again_when_it_has_served() {
        let pool = pool(2);
        let first = pool.free_thread().expect("two are free");
        let (finish, wait) = mpsc::channel();
        first.run(move || wait.recv().expect("the word to finish"));
        let second = pool.free_thread().expect("one is free");
        let waiting = Arc::clone(&pool);
        let third = begun_in_background(move || waiting.free_thread().is_some());
        expect_to_wait(&third, "three threads of two");
        finish.send(()).expect("a thread that waits");
        assert!(expect(&third, "the thread that finished"));
        drop(second);
    }

    #[test]
    fn no_queue_waits_for_a_thread_of_a_closed_pool() {
        let pool = pool(1);
        let _busy = pool.free_thread().expect("one is free");
        let waiting = Arc::clone(&pool);
        let second = begun_in_background(move || waiting.free_thread().is_some());
        expect_to_wait(&second, "two threads of one");
        pool.close();
        assert!(!expect(&second, "the end of the wait"));
    }
}
