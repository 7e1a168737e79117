// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Second stage: one process becomes three.
//!
//! ```text
//!  supervisor ──┬── companion   holds: files, reading end of the lifeline, server of views
//!               └── daemon      holds: listener, stop requests, leash, lifeline, client of views
//!  supervisor holds: files, the other end of the leash, lifeline
//! ```
//!
//! The *lifeline* ends when supervisor and daemon (with its inner process) are gone. The *leash*
//! ends when the supervisor is gone.

use std::io::{self, PipeReader, PipeWriter};
use std::os::unix::net::UnixListener;

use log::warn;
use nix::unistd::{ForkResult, Pid, fork};
use shared_window::{StartingViews, ViewServer, ViewService};

use super::checks::Checked;
use super::companion::Companion;
use super::confine::Accompanied;
use super::error::StartError;
use super::listen::CreatedFiles;
use super::stop::leash;
use super::supervisor::Supervisor;

/// A daemon with its endpoint, still one process.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) checked: Checked,
    pub(super) listener: UnixListener,
    pub(super) files: CreatedFiles,
}

/// What the process that returns from [`Listening::split`] is now.
pub(super) enum Role {
    /// The first process.
    Supervisor(Supervisor),
    /// The one that serves views.
    Companion(Companion),
    /// The one that serves the share.
    Daemon(Box<Accompanied>),
}

/// Which process returns from a fork.
enum Side {
    Parent(Pid),
    Child,
}

impl Listening {
    /// Forks companion and daemon. Returns in each of the three processes.
    pub(super) fn split(self) -> Result<Role, StartError> {
        let (lifeline_end, lifeline) = pipe()?;
        let (view_client, view_server) = self.prepare_views().unzip();

        let companion = match split_off()? {
            Side::Child => {
                drop((self.checked, self.listener, lifeline, view_client));
                return Ok(Role::Companion(Companion {
                    views: view_server,
                    lifeline: lifeline_end,
                    files: self.files,
                }));
            }
            Side::Parent(companion) => companion,
        };
        drop((view_server, lifeline_end));

        let (leash, leash_holder) = leash().map_err(StartError::system("create a pipe"))?;
        match split_off()? {
            Side::Child => {
                drop(leash_holder);
                self.files.disown();
                Ok(Role::Daemon(Box::new(Accompanied {
                    checked: self.checked,
                    listener: self.listener,
                    views: view_client,
                    leash,
                    lifeline,
                })))
            }
            Side::Parent(daemon) => {
                drop((self.checked, self.listener, view_client, leash));
                Ok(Role::Supervisor(Supervisor {
                    daemon,
                    companion,
                    files: self.files,
                    lifeline,
                    leash: leash_holder,
                }))
            }
        }
    }

    /// Both ends of the service of views, if a window is wanted.
    fn prepare_views(&self) -> Option<(StartingViews, ViewServer)> {
        self.checked.window?;
        ViewService::prepare()
            .inspect_err(|error| warn!("no DAX window: {}", super::run::sentence(error)))
            .ok()
    }
}

fn pipe() -> Result<(PipeReader, PipeWriter), StartError> {
    io::pipe().map_err(StartError::system("create a pipe"))
}

/// Forks, without exec.
fn split_off() -> Result<Side, StartError> {
    // SAFETY: this process has one thread (start-up makes none before the last split, which
    // `startup`'s documentation lists as an invariant), so the child may go on like any process.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => Ok(Side::Child),
        Ok(ForkResult::Parent { child }) => Ok(Side::Parent(child)),
        Err(errno) => Err(StartError::system("fork")(errno.into())),
    }
}
