// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Moves the state of the file system to another daemon.
//!
//! ```text
//!  source:       LOG_ALL set ─▶ prepare (thread) ─▶ SET_DEVICE_STATE_FD save ─▶ transfer ─▶ CHECK
//!                LOG_ALL cleared: the migration was cancelled, stop preparing
//!  destination:  SET_DEVICE_STATE_FD load ─▶ transfer (thread) ─▶ CHECK_DEVICE_STATE
//! ```
//!
//! virtiofsd's [`SerializableFileSystem`] does the work; this decides when each step runs.
//! Transfers run on threads of their own because `SET_DEVICE_STATE_FD` must not wait for them.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use vhost::vhost_user::message::{VhostTransferStateDirection, VhostTransferStatePhase};
use virtiofsd::filesystem::SerializableFileSystem;

/// Why the state cannot be moved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    /// The front end asked for a transfer that was not offered.
    #[error(
        "a share with a DAX window cannot be migrated; start the daemon with --dax-window 0 to \
         be able to"
    )]
    HasWindow,
    /// The next daemon can't take over what this one holds.
    #[error(
        "the guest holds locks of the host (--locks=host) or waits for one, and they cannot be \
         migrated; end the programs that hold them first"
    )]
    HasLocks,
    /// Only a stopped device can be moved.
    #[error("a transfer of device state in phase {0:?} is not supported")]
    Phase(VhostTransferStatePhase),
    /// The transfer's thread cannot be started.
    #[error("cannot start the transfer of device state")]
    Start(#[source] io::Error),
    /// `CHECK_DEVICE_STATE` without `SET_DEVICE_STATE_FD`.
    #[error("the front end asks how a transfer went, but there was none")]
    NotStarted,
    /// The transfer failed.
    #[error("the device state could not be transferred")]
    Failed(#[source] io::Error),
    /// The transfer panicked.
    #[error("the transfer of the device state panicked")]
    Panicked,
}

impl From<MigrationError> for io::Error {
    fn from(error: MigrationError) -> Self {
        io::Error::other(error)
    }
}

struct Preparation {
    cancel: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Preparation {
    fn cancel(self) {
        self.cancel.store(true, Ordering::Relaxed);
        // The result of a cancelled preparation does not matter.
        let _ = self.thread.join();
    }
}

/// A migration's steps, on the control thread.
#[derive(Default)]
pub(crate) struct Migration {
    preparation: Mutex<Option<Preparation>>,
    transfer: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl Migration {
    /// Called when the front end begins or ends to watch guest memory.
    pub(crate) fn set_announced<T>(&self, announced: bool, state: &Arc<T>)
    where
        T: AsState + Send + Sync + 'static,
    {
        let mut preparation = self.preparation.lock();
        if !announced {
            if let Some(preparation) = preparation.take() {
                preparation.cancel();
            }
        } else if preparation.is_none() {
            let cancel = Arc::new(AtomicBool::new(false));
            let (state, cancelled) = (Arc::clone(state), Arc::clone(&cancel));
            let spawned = thread::Builder::new()
                .name("migration".to_owned())
                .spawn(move || state.state().prepare_serialization(cancelled));
            match spawned {
                Ok(thread) => *preparation = Some(Preparation { cancel, thread }),
                // The transfer then does the preparation itself, and takes longer.
                Err(error) => log::warn!("cannot prepare a migration beforehand: {error}"),
            }
        }
    }

    /// Starts to write the state to `file`, or to read it from there.
    pub(crate) fn start<T>(
        &self,
        direction: VhostTransferStateDirection,
        phase: VhostTransferStatePhase,
        file: File,
        state: Arc<T>,
    ) -> Result<(), MigrationError>
    where
        T: AsState + Send + Sync + 'static,
    {
        if phase != VhostTransferStatePhase::STOPPED {
            return Err(MigrationError::Phase(phase));
        }
        let preparation = self.preparation.lock().take();
        let transfer = move || match direction {
            VhostTransferStateDirection::SAVE => {
                match preparation {
                    Some(preparation) => preparation
                        .thread
                        .join()
                        .map_err(|_| io::Error::other("the preparation panicked"))?,
                    // A snapshot: the front end did not watch guest memory before.
                    None => state
                        .state()
                        .prepare_serialization(Arc::new(AtomicBool::new(false))),
                }
                state.state().serialize(file)
            }
            VhostTransferStateDirection::LOAD => {
                if let Some(preparation) = preparation {
                    preparation.cancel();
                }
                state.state().deserialize_and_apply(file)?;
                state.loaded();
                Ok(())
            }
        };
        let thread = thread::Builder::new()
            .name("migration".to_owned())
            .spawn(transfer)
            .map_err(MigrationError::Start)?;
        *self.transfer.lock() = Some(thread);
        Ok(())
    }

    /// Waits for the transfer and returns its result.
    pub(crate) fn check(&self) -> Result<(), MigrationError> {
        let transfer = self.transfer.lock().take();
        transfer
            .ok_or(MigrationError::NotStarted)?
            .join()
            .map_err(|_| MigrationError::Panicked)?
            .map_err(MigrationError::Failed)
    }
}

/// Something that owns the state to be moved.
pub(crate) trait AsState {
    /// The type that is written and read.
    type State: SerializableFileSystem;

    /// The state.
    fn state(&self) -> &Self::State;

    /// Called when the state has been read.
    fn loaded(&self);
}
