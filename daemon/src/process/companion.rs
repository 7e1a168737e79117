// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The companion: a process outside the sandbox that no byte from the guest reaches.
//!
//! It serves views of files. If the supervisor is killed, it removes socket and pid file. The
//! companion starts before those files exist, so that there is always a process to remove them. It
//! ends after the daemon, once they are removed.

use std::ffi::CStr;
use std::io::{PipeReader, PipeWriter, Read};

use log::{error, warn};
use nix::unistd::Pid;
use shared_window::ViewServer;

use super::run::ExitStatus;
use super::stale_files;
use crate::config::SocketFile;
use crate::log::ErrorChain;
use crate::sandbox::capabilities;

/// The process name; the view server has its own name.
const NAME: &CStr = c"daxd-companion";

/// What the companion owns.
#[derive(Debug)]
pub(super) struct Companion {
    /// Serves views, if a window is wanted.
    pub(super) views: Option<ViewServer>,
    /// Reaches its end when both supervisor and daemon are gone.
    pub(super) end_of_life: PipeReader,
    /// Held until this process ends: its end tells the daemon.
    pub(super) _alive: PipeWriter,
    /// The process that creates the files. It also removes them, unless it is killed.
    pub(super) supervisor: Pid,
    /// The sockets that this daemon creates; not one that the operator passes.
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
        // No process writes to the liveness pipe, so `read` returns at its end. An error looks the
        // same; to remove the files is right in both cases.
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

/// Drops privileges, as the view server does for itself, and sets the process name.
fn settle_without_views() {
    if let Err(error) = capabilities::keep_right_to_remove_files() {
        warn!("the companion process keeps its capabilities: {error}");
    }
    // The name is for display only, so a failure doesn't matter.
    let _ = rustix::thread::set_name(NAME);
}
