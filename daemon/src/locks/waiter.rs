// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A thread that waits in the kernel for a lock, and its end.
//!
//! Only a signal ends fcntl(F_OFD_SETLKW) and flock(2). The signal does nothing but that.

use std::io;
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use parking_lot::{Condvar, Mutex};

use super::Job;

/// Ends the wait. A process without a handler ignores this signal, so another sender does no harm.
const WAKE: Signal = Signal::SIGURG;
/// A signal that comes before the thread is in the kernel ends no wait, so it is sent again.
const AGAIN: Duration = Duration::from_millis(1);
/// Enough for a thread that makes one system call and then answers a request.
const STACK: usize = 256 << 10;

/// Why a wait ended without a lock.
pub(super) enum Ended {
    /// [`Waiter::cancel`] was called.
    Cancelled,
    /// A signal that has nothing to do with the wait.
    Disturbed,
    /// The kernel's error.
    Failed(io::Error),
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Waiter {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    /// The thread, while it is in the kernel.
    inside: Option<libc::pthread_t>,
}

impl Waiter {
    /// Waits in `call`, unless the wait was cancelled before.
    pub(super) fn wait(&self, call: impl FnOnce() -> io::Result<()>) -> Result<(), Ended> {
        {
            let mut state = self.state.lock();
            if state.cancelled {
                return Err(Ended::Cancelled);
            }
            // SAFETY: the call has no precondition.
            state.inside = Some(unsafe { libc::pthread_self() });
        }
        let result = call();
        let mut state = self.state.lock();
        state.inside = None;
        self.left.notify_all();
        result.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted if state.cancelled => Ended::Cancelled,
            io::ErrorKind::Interrupted => Ended::Disturbed,
            _ => Ended::Failed(error),
        })
    }

    /// Marks the wait as cancelled; the thread may still be in the kernel.
    pub(super) fn mark(&self) {
        self.state.lock().cancelled = true;
    }

    /// Ends the wait, and returns when the thread has left the kernel, or at `deadline`: a file
    /// server that does not answer may hold it.
    pub(super) fn cancel(&self, deadline: Instant) {
        let mut state = self.state.lock();
        state.cancelled = true;
        while let Some(thread) = state.inside {
            // SAFETY: the thread lives, since it needs the state's lock to leave `wait`. The signal
            // has a handler ([`prepare`]).
            unsafe { libc::pthread_kill(thread, WAKE as libc::c_int) };
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            self.left.wait_until(&mut state, deadline.min(now + AGAIN));
        }
    }
}

extern "C" fn nothing(_signal: libc::c_int) {}

/// Makes the signal end a wait, in this process.
pub(super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Without SA_RESTART, which would let the kernel go on waiting.
        let flags = SaFlags::empty();
        let action = SigAction::new(SigHandler::Handler(nothing), flags, SigSet::empty());
        // SAFETY: the handler does nothing.
        if let Err(errno) = unsafe { sigaction(WAKE, &action) } {
            log::warn!("a guest can't be interrupted while it waits for a lock: {errno}");
        }
    });
}

/// Starts a thread that does what it is sent, once.
///
/// # Errors
/// If the host has no thread for it.
pub(super) fn start() -> io::Result<std::sync::mpsc::Sender<Job>> {
    let (sender, job) = std::sync::mpsc::channel::<Job>();
    thread::Builder::new()
        .name("lock".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            if let Ok(job) = job.recv() {
                job();
            }
        })?;
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Instant;

    use super::{Ended, Waiter, prepare};
    use crate::testing::{MUST_HAPPEN, begun_in_background, expect, expect_to_wait};

    /// Waits for a signal, for ever.
    fn pause() -> io::Result<()> {
        // SAFETY: the call has no precondition.
        unsafe { libc::pause() };
        Err(io::Error::last_os_error())
    }

    #[test]
    fn a_wait_ends_when_it_is_cancelled() {
        prepare();
        for _ in 0..100 {
            let waiter = Arc::new(Waiter::default());
            let theirs = Arc::clone(&waiter);
            let ended = begun_in_background(move || theirs.wait(pause));
            waiter.cancel(Instant::now() + MUST_HAPPEN);
            let ended = expect(&ended, "the wait to end");
            assert!(matches!(ended, Err(Ended::Cancelled)));
            assert!(matches!(waiter.wait(pause), Err(Ended::Cancelled)));
        }
    }

    #[test]
    fn a_mark_alone_does_not_end_a_wait() {
        prepare();
        let waiter = Arc::new(Waiter::default());
        let theirs = Arc::clone(&waiter);
        let (enters, entered) = std::sync::mpsc::channel();
        let ended = begun_in_background(move || {
            theirs.wait(|| {
                enters.send(()).expect("a receiver");
                pause()
            })
        });
        expect(&entered, "the wait to begin");
        waiter.mark();
        expect_to_wait(&ended, "no signal was sent");
        waiter.cancel(Instant::now() + MUST_HAPPEN);
        assert!(matches!(expect(&ended, "the end"), Err(Ended::Cancelled)));
    }
}
