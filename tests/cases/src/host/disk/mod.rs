// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A disk that answers on request: an NBD server, to which QEMU connects.
//!
//! Requests below `HELD_FROM` are answered at once, so that the guest can look for partitions.
//! Requests from there on are delayed until [`Disk::release`]: while the guest waits for the
//! reply, the pages of its request stay pinned. The content is a pattern. Data that is written is
//! kept in the request and otherwise discarded.

mod protocol;
mod serve;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::delayed::{Delayed, DelayedError, HELD_FROM, Request, RequestKind, SIZE};
use serve::Reply;

/// How long QEMU may take to have a reply in its socket.
const REPLY_DEADLINE: Duration = Duration::from_secs(60);

/// Errors of the disk.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The socket could not be made.
    #[error("can't listen at {}", path.display())]
    Listen {
        /// The path of the socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The request did not come, or is not there.
    #[error("at the disk")]
    Delayed(#[from] DelayedError),
    /// QEMU is gone.
    #[error("QEMU no longer takes the disk's replies")]
    Gone,
}

/// The server.
pub struct Disk {
    delayed: Arc<Delayed<Reply>>,
    path: PathBuf,
    task: JoinHandle<()>,
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
        let delayed = Arc::new(Delayed::default());
        let task = tokio::spawn(serve::accept(listener, Arc::clone(&delayed)));
        Ok(Self {
            delayed,
            path: path.to_owned(),
            task,
        })
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the guest has made a request at `offset`, which is delayed.
    ///
    /// # Errors
    ///
    /// If the request does not come.
    pub async fn held(&self, offset: u64) -> Result<Request, DiskError> {
        Ok(self.delayed.held(offset).await?)
    }

    /// Answers the delayed request at `offset`. Returns the moment at which the reply was in
    /// QEMU's socket.
    ///
    /// # Errors
    ///
    /// If there is no such request, or no QEMU.
    pub async fn release(&self, offset: u64) -> Result<Instant, DiskError> {
        let (request, reply) = self.delayed.take(offset)?;
        let (sent, when) = oneshot::channel();
        reply.send(&request, sent).map_err(|()| DiskError::Gone)?;
        let when = timeout(REPLY_DEADLINE, when).await;
        when.ok().and_then(Result::ok).ok_or(DiskError::Gone)
    }

    /// Answers all delayed requests, so that the guest's processes can end.
    pub fn release_all(&self) {
        for (request, reply) in self.delayed.take_all() {
            // No caller waits for this reply, and without a QEMU there is no receiver for it.
            let _ = reply.send(&request, oneshot::channel().0);
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
