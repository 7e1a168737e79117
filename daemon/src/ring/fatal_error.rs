// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Ends the session when a thread that serves requests cannot go on.
//!
//! The transport does not notice the end of a queue's thread, nor the executor that of a pool's:
//! the daemon would live on with a queue that no thread serves, and a guest that hangs. So what such
//! a thread does for a request runs in [`FatalErrorLatch::guard`]. The first failure counts.
//!
//! Not for panics that a guest can cause: [`crate::fs::catch_panic`] handles those.

use std::panic::{self, AssertUnwindSafe};

use parking_lot::Mutex;

use crate::fs::catch_panic;
use crate::ring::threads::ThreadsError;

/// Why requests can't be served any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A bug of ours.
    #[error("a thread that serves requests has panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// A thread could not be prepared to serve.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
}

type End = Box<dyn Fn() + Send>;

#[derive(Default)]
struct State {
    failure: Option<Failure>,
    end: Option<End>,
}

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct FatalErrorLatch {
    state: Mutex<State>,
}

impl FatalErrorLatch {
    /// Runs a part of a thread's work; a failure or a panic in it ends the session.
    pub(crate) fn guard(&self, work: impl FnOnce() -> Result<(), ThreadsError>) {
        // A panic may leave state half-changed, but the session ends, so no thread uses that state
        // again.
        match panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.raise(error.into()),
            Err(payload) => self.raise(Failure::Panicked {
                message: catch_panic::message(payload.as_ref()),
            }),
        }
    }

    /// Sets `end` to be called at the first failure, which may have happened already.
    pub(crate) fn arm(&self, end: impl Fn() + Send + 'static) {
        let mut state = self.state.lock();
        if state.failure.is_some() {
            end();
        }
        state.end = Some(Box::new(end));
    }

    /// The failure that has ended the session, if there was one.
    pub(crate) fn take(&self) -> Option<Failure> {
        self.state.lock().failure.take()
    }

    fn raise(&self, failure: Failure) {
        let mut state = self.state.lock();
        state.failure.get_or_insert(failure);
        if let Some(end) = &state.end {
            end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Failure, FatalErrorLatch};

    #[test]
    fn the_first_failure_counts_and_ends_the_session_whenever_it_comes() {
        for armed_before in [true, false] {
            let fatal_error = FatalErrorLatch::default();
            let ends = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&ends);
            let end = move || {
                counted.fetch_add(1, Ordering::Relaxed);
            };
            fatal_error.guard(|| Ok(()));
            if armed_before {
                fatal_error.arm(end);
                assert_eq!(ends.load(Ordering::Relaxed), 0);
                fatal_error.guard(|| panic!("first"));
            } else {
                fatal_error.guard(|| panic!("first"));
                fatal_error.arm(end);
            }
            assert_eq!(ends.load(Ordering::Relaxed), 1);
            fatal_error.guard(|| panic!("second"));
            let Some(Failure::Panicked { message }) = fatal_error.take() else {
                panic!("no panic");
            };
            assert_eq!(message, "first");
        }
    }
}
