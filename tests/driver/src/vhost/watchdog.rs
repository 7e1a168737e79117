// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Ends a connection on which a reply is late.
//!
//! The vhost crate waits for replies without a limit, and retries after a time-out of the socket.
//! So the watchdog closes the connection of a late daemon.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Watches one connection until it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    patience: Duration,
    /// Held during a request: the connection carries one request at a time.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The deadline of the request in flight.
    deadline: Option<Instant>,
    expired: bool,
    closing: bool,
}

impl Watchdog {
    pub(super) fn start(connection: UnixStream, patience: Duration) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let watches = Arc::clone(&shared);
        let watch = move || watches.watch(&connection);
        thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(watch)?;
        let turn = Mutex::default();
        Ok(Self {
            shared,
            patience,
            turn,
        })
    }

    /// Runs a function that has to end in time.
    pub(super) fn during<T>(&self, request: impl FnOnce() -> T) -> T {
        let _turn = self.turn.lock();
        self.set(Some(Instant::now() + self.patience));
        let made = request();
        self.set(None);
        made
    }

    /// The time limit, if a request was late and the connection was closed.
    pub(super) fn expired(&self) -> Option<Duration> {
        self.shared.state.lock().expired.then_some(self.patience)
    }

    /// Sets the deadline. The watcher wakes up at the old deadline anyway and reads the new one, so
    /// requests need not wake it.
    fn set(&self, deadline: Option<Instant>) {
        let mut state = self.shared.state.lock();
        let sleeps_without = state.deadline.is_none() && deadline.is_some();
        state.deadline = deadline;
        if sleeps_without {
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn watch(&self, connection: &UnixStream) {
        let mut state = self.state.lock();
        while !state.closing {
            match state.deadline {
                None => self.changed.wait(&mut state),
                Some(deadline) if deadline <= Instant::now() => {
                    state.expired = true;
                    state.deadline = None;
                    // Fails only if the socket is closed already.
                    let _ = connection.shutdown(Shutdown::Both);
                }
                Some(deadline) => {
                    self.changed.wait_until(&mut state, deadline);
                }
            }
        }
    }
}
