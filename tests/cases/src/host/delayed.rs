// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests that a server of the lab has received and does not answer yet.
//!
//! What the servers serve is alike: [`SIZE`] bytes of a pattern, of which requests from
//! [`HELD_FROM`] on are delayed. What is written is kept in the request and otherwise forgotten.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use guest_agent::pattern::{self, Seed};
use tokio::sync::Notify;
use tokio::time::timeout;

/// The first offset whose requests are delayed.
pub const HELD_FROM: u64 = 32 << 20;
/// The size in bytes of what is served.
pub const SIZE: u64 = 64 << 20;
/// The pattern of its content.
pub const SEED: u64 = 0xd15c;

/// How long a request that the guest has been told to make may take to come.
const REQUEST_DEADLINE: Duration = Duration::from_secs(120);

/// Why a request is of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DelayedError {
    /// The guest did not ask for anything.
    #[error("waited {REQUEST_DEADLINE:?} in vain for the guest's request at offset {offset:#x}")]
    NoRequest {
        /// Where on the server.
        offset: u64,
    },
    /// There is nothing to answer.
    #[error("no request at offset {0:#x} is delayed")]
    NotHeld(u64),
}

/// What a guest wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The server's data.
    Read,
    /// To have its data written.
    Write,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it wants.
    pub kind: RequestKind,
    /// Where on the server, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
    /// What it wants to write.
    pub data: Vec<u8>,
}

impl Request {
    /// What a read gets.
    pub(super) fn content(&self) -> Vec<u8> {
        let mut data = Vec::new();
        if self.kind == RequestKind::Read {
            data.resize(self.len as usize, 0);
            pattern::fill(Seed(SEED), self.offset, &mut data);
        }
        data
    }
}

/// All that a server delays, each with what it takes to answer.
#[derive(Debug)]
pub(super) struct Delayed<R> {
    held: Mutex<Vec<(Request, R)>>,
    came: Notify,
}

impl<R> Default for Delayed<R> {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            came: Notify::new(),
        }
    }
}

impl<R> Delayed<R> {
    fn lock(&self) -> MutexGuard<'_, Vec<(Request, R)>> {
        self.held.lock().expect("nobody panics with it")
    }

    /// Delays the answer to a request.
    pub(super) fn hold(&self, request: Request, reply: R) {
        self.lock().push((request, reply));
        self.came.notify_waiters();
    }

    /// Waits until the guest has made a request at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub(super) async fn held(&self, offset: u64) -> Result<Request, DelayedError> {
        let held = async {
            loop {
                // Registered before the look, so that nothing that comes in between is missed.
                let mut came = std::pin::pin!(self.came.notified());
                came.as_mut().enable();
                if let Some(found) = self.find(offset) {
                    return found;
                }
                came.await;
            }
        };
        let waited = timeout(REQUEST_DEADLINE, held).await;
        waited.map_err(|_| DelayedError::NoRequest { offset })
    }

    fn find(&self, offset: u64) -> Option<Request> {
        let held = self.lock();
        let found = held.iter().find(|(request, _)| request.offset == offset);
        found.map(|(request, _)| request.clone())
    }

    /// Takes the request at `offset` out, to be answered.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub(super) fn take(&self, offset: u64) -> Result<(Request, R), DelayedError> {
        let mut held = self.lock();
        let at = held
            .iter()
            .position(|(request, _)| request.offset == offset);
        Ok(held.swap_remove(at.ok_or(DelayedError::NotHeld(offset))?))
    }

    /// Takes all of them out.
    pub(super) fn take_all(&self) -> Vec<(Request, R)> {
        std::mem::take(&mut *self.lock())
    }
}
