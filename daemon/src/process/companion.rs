// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The companion: a process outside the sandbox that no byte from the guest reaches.
//!
//! It serves views of files, and it removes socket and pid file when the supervisor has been
//! killed. It is there before those files are, so that there is no moment at which nobody would,
//! and it outlives the daemon by the moment that this takes.

use std::ffi::CStr;
use std::io::{PipeReader, PipeWriter, Read};

use log::{error, warn};
use nix::unistd::Pid;
use shared_window::ViewServer;

use super::stale_files;
use super::status::ExitStatus;
use crate::config::SocketFile;
use crate::log::ErrorChain;
use crate::sandbox::capabilities;

/// Name in a list of processes; the server of views has its own.
const NAME: &CStr = c"daxd-companion";

/// What the companion owns.
#[derive(Debug)]
pub(super) struct Companion {
    /// Serves views, where a window is wanted.
    pub(super) views: Option<ViewServer>,
    /// Ends with the last of supervisor and daemon.
    pub(super) end_of_life: PipeReader,
    /// Held until this process ends, so that the daemon learns of it.
    pub(super) _alive: PipeWriter,
    /// The process that creates the files, and removes them if it can.
    pub(super) supervisor: Pid,
    /// The sockets, but for one that is the operator's.
    pub(super) sockets: Vec<SocketFile>,
}

impl Companion {
    /// Serves until supervisor and daemon are gone.
    pub(super) fn run(mut self) -> ExitStatus {
        let served = match self.views {
            Some(views) => views.keep_right_to_remove_files().serve_until_closed(),
            None => {
                settle_without_views();
                Ok(())
            }
        };
        if let Err(error) = &served {
            error!("the companion process: {}", ErrorChain(error));
        }
        // Nobody writes, so this is the end of the liveness pipe; an error can't be told from it, and
        // to remove the files is right in both cases.
        let _ = self.end_of_life.read(&mut [0]);
        for socket in &self.sockets {
            stale_files::remove(socket, self.supervisor);
        }
        match served {
            Err(_) => ExitStatus::Failed,
            Ok(()) => ExitStatus::Orderly,
        }
    }
}

/// Gives up privileges, as the server of views does for itself, and takes a name that tells this
/// process from the others.
fn settle_without_views() {
    if let Err(error) = capabilities::keep_right_to_remove_files() {
        warn!("the companion process keeps its capabilities: {error}");
    }
    // A process without its own name works as well.
    let _ = rustix::thread::set_name(NAME);
}
