// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A disk that answers when it is told to: an NBD server, to which QEMU connects.
//!
//! Requests below [`HELD_FROM`] are answered at once, so that the guest can look for partitions.
//! Those from there on are withheld until [`Disk::release`]: as long as the guest waits for the
//! reply, the pages of its request stay pinned. The content is a pattern; what is written is kept
//! in the request and otherwise forgotten.

mod protocol;
mod serve;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use serve::Replies;

/// The first offset whose requests are withheld.
pub const HELD_FROM: u64 = 32 << 20;
/// The disk's size in bytes.
pub const SIZE: u64 = 64 << 20;
/// The pattern of the disk's content.
pub const SEED: u64 = 0xd15c;

/// How long a request that the guest has been told to make may take to come.
const REQUEST_DEADLINE: Duration = Duration::from_secs(120);
/// How long QEMU may take to have a reply in its socket.
const REPLY_DEADLINE: Duration = Duration::from_secs(60);

/// Why the disk is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No socket.
    #[error("can't listen at {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The guest did not ask for anything.
    #[error(
        "waited {REQUEST_DEADLINE:?} in vain for the guest's request at offset {offset:#x} of the disk"
    )]
    NoRequest {
        /// Where on the disk.
        offset: u64,
    },
    /// There is nothing to answer.
    #[error("no request at offset {0:#x} of the disk is withheld")]
    NotHeld(u64),
    /// QEMU is gone.
    #[error("QEMU no longer takes the disk's replies")]
    Gone,
}

/// What a guest wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The disk's data.
    Read,
    /// To have its data written.
    Write,
}

/// A withheld request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it wants.
    pub kind: RequestKind,
    /// Where on the disk, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
    /// What it wants to write.
    pub data: Vec<u8>,
    /// QEMU's name for it.
    cookie: u64,
    /// The connection that it came by.
    replies: Replies,
}

/// The server.
pub struct Disk {
    state: Arc<State>,
    path: PathBuf,
    task: JoinHandle<()>,
}

/// What the server and its owner share.
#[derive(Default)]
struct State {
    held: Mutex<Vec<Request>>,
    came: Notify,
}

impl State {
    fn held(&self) -> MutexGuard<'_, Vec<Request>> {
        self.held.lock().expect("nobody panics with it")
    }

    fn hold(&self, request: Request) {
        self.held().push(request);
        self.came.notify_waiters();
    }
}

impl Disk {
    /// Listens at `path`.
    ///
    /// # Errors
    ///
    /// If the socket can't be made.
    pub fn serve(path: &Path) -> Result<Self, DiskError> {
        let listener = UnixListener::bind(path).map_err(|source| DiskError::Listen {
            path: path.to_owned(),
            source,
        })?;
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve::accept(listener, Arc::clone(&state)));
        Ok(Self {
            state,
            path: path.to_owned(),
            task,
        })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the guest has made a request at `offset`, which is withheld.
    ///
    /// # Errors
    ///
    /// If it does not come.
    pub async fn held(&self, offset: u64) -> Result<Request, DiskError> {
        let held = async {
            loop {
                // Registered before the look, so that nothing that comes in between is missed.
                let mut came = std::pin::pin!(self.state.came.notified());
                came.as_mut().enable();
                if let Some(found) = self.find(offset) {
                    return found;
                }
                came.await;
            }
        };
        let waited = timeout(REQUEST_DEADLINE, held).await;
        waited.map_err(|_| DiskError::NoRequest { offset })
    }

    fn find(&self, offset: u64) -> Option<Request> {
        let held = self.state.held();
        held.iter().find(|held| held.offset == offset).cloned()
    }

    /// Answers the withheld request at `offset`. Gives the moment at which the reply was in QEMU's
    /// socket.
    ///
    /// # Errors
    ///
    /// If there is no such request, or no QEMU.
    pub async fn release(&self, offset: u64) -> Result<Instant, DiskError> {
        let request = {
            let mut held = self.state.held();
            let at = held.iter().position(|held| held.offset == offset);
            held.swap_remove(at.ok_or(DiskError::NotHeld(offset))?)
        };
        let (sent, when) = oneshot::channel();
        request.answer(sent).map_err(|_| DiskError::Gone)?;
        let when = timeout(REPLY_DEADLINE, when).await;
        when.ok().and_then(Result::ok).ok_or(DiskError::Gone)
    }

    /// Answers all that is withheld, so that the guest's processes can end.
    pub fn release_all(&self) {
        for request in self.state.held().drain(..) {
            // Nobody waits for this reply, and without a QEMU nobody needs it.
            let _ = request.answer(oneshot::channel().0);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
