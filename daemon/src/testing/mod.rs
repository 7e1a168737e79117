// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the crate's tests share: a driver's half of a virtqueue, FUSE messages, a shared directory,
//! and a VMM whose answers the test withholds.

mod driver;
mod front_end;
pub(crate) mod fuse;
mod held_vmm;
mod share;

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use driver::{AVAIL, BUFFERS, Descriptor, Driver, MEMORY_SIZE, QUEUE_SIZE, TABLE, USED};
pub(crate) use front_end::{FrontEnd, Held};
pub(crate) use held_vmm::HeldVmm;
pub(crate) use share::Share;

/// How long a step that must happen may take before the test fails.
pub(crate) const MUST_HAPPEN: Duration = Duration::from_secs(60);

/// How long a step that must not happen gets to happen.
const MUST_NOT_HAPPEN: Duration = Duration::from_millis(50);

/// Runs `step` on a thread of its own; the receiver gets its result.
pub(crate) fn in_background<T: Send + 'static>(
    step: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let (done, receiver) = mpsc::channel();
    // A test that gave up does not listen any more.
    thread::spawn(move || drop(done.send(step())));
    receiver
}

/// The same, and returns when the thread has begun with it.
pub(crate) fn begun_in_background<T: Send + 'static>(
    step: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let (begins, begun) = mpsc::channel();
    let done = in_background(move || {
        begins.send(()).expect("a test that waits");
        step()
    });
    expect(&begun, "a thread to begin");
    done
}

/// Checks that a step of [`begun_in_background`] goes on waiting.
pub(crate) fn expect_to_wait<T>(receiver: &Receiver<T>, otherwise: &str) {
    let result = receiver.recv_timeout(MUST_NOT_HAPPEN);
    assert!(
        matches!(result, Err(RecvTimeoutError::Timeout)),
        "{otherwise}"
    );
}

/// Waits until what must happen has happened.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(
            begun.elapsed() < MUST_HAPPEN,
            "waited {MUST_HAPPEN:?} for {what}"
        );
        thread::yield_now();
    }
}

/// Waits for a step of [`in_background`].
pub(crate) fn expect<T>(receiver: &Receiver<T>, what: &str) -> T {
    receiver
        .recv_timeout(MUST_HAPPEN)
        .unwrap_or_else(|error| panic!("waited {MUST_HAPPEN:?} for {what}: {error}"))
}
