// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Fourth stage: forks the daemon. The first process becomes the supervisor and waits.
//!
//! ```text
//!  supervisor   holds: files and their lock, the other end of the parent-death pipe, liveness pipe, stop requests
//!  ├─ companion holds: the end of the liveness pipe, the server of views
//!  └─ daemon    holds: listener, stop requests, parent-death pipe, liveness pipe, client of views; it says that it ends
//! ```
//!
//! The *liveness pipe* ends when supervisor and daemon (with its inner process) are gone. The *parent-death pipe*
//! ends when the supervisor is gone.

use std::os::unix::net::UnixListener;

use shared_window::StartingViews;

use super::checks::Checked;
use super::confine::Unconfined;
use super::error::StartError;
use super::fork::{Side, fork};
use super::fork_companion::CompanionProcess;
use super::listen::CreatedFiles;
use super::stop::{DeathPipe, death_pipe};
use super::supervisor::Supervisor;
use crate::metrics::Place;

/// The endpoint, and a daemon that is not yet a process of its own. On an error the fields are
/// dropped in this order: the companion goes last, since its drop waits.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) files: Vec<CreatedFiles>,
    pub(super) checked: Checked,
    pub(super) listener: UnixListener,
    /// Where to serve metrics, with `--metrics`.
    pub(super) metrics: Option<Place>,
    pub(super) views: Option<StartingViews>,
    /// Reaches its end when the companion ends.
    pub(super) end_of_views: DeathPipe,
    pub(super) companion: CompanionProcess,
}

/// The process in which [`Listening::fork_daemon`] returns.
pub(super) enum Role {
    /// The first process.
    Supervisor(Supervisor),
    /// The process that serves the share.
    Daemon(Box<Unconfined>),
}

impl Listening {
    /// Forks the daemon. Returns in both processes.
    pub(super) fn fork_daemon(self) -> Result<Role, StartError> {
        let (end_of_supervisor, parent_death_holder) =
            death_pipe().map_err(StartError::system("create a pipe"))?;
        let (ending, says_end) = death_pipe().map_err(StartError::system("create a pipe"))?;
        match fork()? {
            Side::Child => {
                drop((parent_death_holder, ending));
                self.files.into_iter().for_each(CreatedFiles::disown);
                Ok(Role::Daemon(Box::new(Unconfined {
                    checked: self.checked,
                    listener: self.listener,
                    metrics: self.metrics,
                    views: self.views,
                    end_of_views: self.end_of_views,
                    parent_death: end_of_supervisor,
                    says_end,
                    liveness_pipe: self.companion.into_liveness_pipe(),
                })))
            }
            Side::Parent(daemon) => {
                let Checked { stop, .. } = self.checked;
                drop((self.listener, self.metrics, says_end));
                drop((self.views, self.end_of_views, end_of_supervisor));
                Ok(Role::Supervisor(Supervisor {
                    daemon,
                    companion: self.companion,
                    files: self.files,
                    stop,
                    ending,
                    parent_death: parent_death_holder,
                }))
            }
        }
    }
}
