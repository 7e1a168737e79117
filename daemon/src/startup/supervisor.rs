// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The supervisor: the process that the operator started and that the pid file names.
//!
//! It waits. That both others are its children makes the end of the daemon one event for whoever
//! started it: when the supervisor exits, no other process, socket or pid file is left.

use std::io::PipeWriter;

use log::{error, warn};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::accompany::CompanionProcess;
use super::listen::CreatedFiles;
use super::privileges;
use super::status::ExitStatus;

/// What the supervisor owns.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) daemon: Pid,
    pub(super) companion: CompanionProcess,
    /// Removed at the end.
    pub(super) files: Vec<CreatedFiles>,
    /// Tells the daemon, when this process is gone, that nobody waits for it any more.
    pub(super) leash: PipeWriter,
}

impl Supervisor {
    /// Waits for the daemon and then for the companion. The daemon's end decides the status.
    pub(super) fn wait(self) -> ExitStatus {
        if let Err(error) = privileges::keep_right_to_remove_files() {
            warn!("the supervisor keeps its capabilities: {error}");
        }
        let status = self.wait_for_daemon();
        drop(self.files);
        // An inner process of a daemon that was killed may still be there. The companion stays
        // until it has gone too, and this process until the companion has.
        drop((self.leash, self.companion));
        status
    }

    fn wait_for_daemon(&self) -> ExitStatus {
        loop {
            match wait() {
                Ok(ended) if ended.pid() == Some(self.daemon) => return daemon_status(ended),
                Ok(ended) if ended.pid() == Some(self.companion.pid()) => {
                    error!("the companion process ended early, no more files can be mapped");
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => {
                    error!("can't wait for the daemon: {errno}");
                    return ExitStatus::Failed;
                }
            }
        }
    }
}

/// The exit status that the end of the daemon means. virtiofsd's outer process exits with the
/// negative number of the signal that killed the inner one.
fn daemon_status(ended: WaitStatus) -> ExitStatus {
    match ended {
        WaitStatus::Exited(_, 0) => ExitStatus::Orderly,
        WaitStatus::Signaled(_, signal, _) => {
            error!("the daemon was killed by {signal:?}");
            ExitStatus::Failed
        }
        _ => ExitStatus::Failed,
    }
}
