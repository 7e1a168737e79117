// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Threads for requests that may sleep.
//!
//! A queue's thread serves one request after another. One that waits for a disk or a server would hold
//! up all that follow. So such a request is handed over to a thread here, which is made when it is wanted
//! and ends when it has been idle for [`IDLE`].
//!
//! A stop of the ring waits for these requests, as for all that were taken off it (see
//! [`crate::ring::quiesce`]). None of them waits for the VMM.
//!
//! Owner: the device.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::threads::ThreadsError;

/// The largest number of threads. Further requests wait until one is free.
const MOST: usize = 64;
/// After this time without work a thread ends.
const IDLE: Duration = Duration::from_secs(10);

/// See the module's documentation.
pub(crate) struct Aside {
    /// Always there until the drop.
    runtime: Option<Runtime>,
    fatal_error: Arc<FatalErrorLatch>,
}

impl Aside {
    /// Starts no thread yet; a panic in one ends the session by `fatal_error`.
    ///
    /// # Errors
    /// If the runtime can't be made.
    pub(crate) fn new(fatal_error: Arc<FatalErrorLatch>) -> Result<Self, ThreadsError> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(MOST)
            .thread_keep_alive(IDLE)
            .thread_name("aside")
            .build()
            .map_err(ThreadsError::Aside)?;
        Ok(Self {
            runtime: Some(runtime),
            fatal_error,
        })
    }

    /// Serves a request on another thread, or here if the host has no thread for it.
    pub(crate) fn run(&self, serve: impl FnOnce() + Send + 'static) {
        let here = Arc::new(Mutex::new(Some(serve)));
        let there = Arc::clone(&here);
        let fatal_error = Arc::clone(&self.fatal_error);
        let work = move || {
            let serve = there.lock().take();
            if let Some(serve) = serve {
                fatal_error.guard(|| {
                    serve();
                    Ok(())
                });
            }
        };
        // The runtime panics if it can't start its first thread.
        let begun = panic::catch_unwind(AssertUnwindSafe(|| {
            if let Some(runtime) = &self.runtime {
                drop(runtime.spawn_blocking(work));
            }
        }));
        if begun.is_err() {
            let serve = here.lock().take();
            if let Some(serve) = serve {
                serve();
            }
        }
    }
}

impl Drop for Aside {
    /// Does not wait for the threads.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::testing::{begun_in_background, expect, expect_to_wait};

    #[test]
    fn one_that_sleeps_holds_up_no_other() {
        let aside = Aside::new(Arc::default()).expect("a runtime");
        let (finish, wait) = mpsc::channel::<()>();
        let (done, ended) = mpsc::channel();
        let slow = done.clone();
        aside.run(move || {
            wait.recv().expect("the word to finish");
            slow.send("slow").expect("a receiver");
        });
        for _ in 0..3 {
            let quick = done.clone();
            aside.run(move || quick.send("quick").expect("a receiver"));
        }
        let first = begun_in_background(move || {
            let all: Vec<_> = (0..3).map(|_| ended.recv().expect("one")).collect();
            (all, ended)
        });
        let (first, ended) = expect(&first, "three that are quick");
        assert_eq!(first, ["quick"; 3]);
        let last = begun_in_background(move || ended.recv());
        expect_to_wait(&last, "it has no word yet");
        finish.send(()).expect("a thread that waits");
        assert_eq!(expect(&last, "the slow one"), Ok("slow"));
    }

    #[test]
    fn a_panic_ends_the_session() {
        let fatal_error = Arc::<FatalErrorLatch>::default();
        let (raised, end) = mpsc::channel();
        fatal_error.arm(move || raised.send(()).expect("a receiver"));
        let aside = Aside::new(Arc::clone(&fatal_error)).expect("a runtime");
        aside.run(|| panic!("a bug"));
        let ended = begun_in_background(move || end.recv());
        assert_eq!(expect(&ended, "the end of the session"), Ok(()));
    }
}
