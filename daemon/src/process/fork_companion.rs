// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Second stage: forks the companion, before there is anything to clean up.

use std::io::{self, PipeWriter};

use log::info;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use shared_window::{StartingViews, ViewServer, ViewService};

use super::checks::Checked;
use super::companion::Companion;
use super::confine::warn_of_views;
use super::error::StartError;
use super::fork::{Side, fork};
use super::fork_daemon::Listening;
use super::listen;
use super::metrics_socket;
use super::stop::{DeathPipe, death_pipe};
use crate::config::{Endpoint, HostTruncate, SocketFile};

/// The process in which [`Checked::fork_companion`] returns.
pub(super) enum Pair {
    /// The new process.
    Companion(Companion),
    /// The first process.
    WithCompanion(Box<WithCompanion>),
}

/// Checked settings, and a running companion.
#[derive(Debug)]
pub(super) struct WithCompanion {
    checked: Checked,
    /// The client of the view server, if a window is wanted. Dropped before the companion, which
    /// serves views as long as a client exists.
    views: Option<StartingViews>,
    /// Reaches its end when the companion ends.
    end_of_views: DeathPipe,
    companion: CompanionProcess,
}

impl Checked {
    /// Forks the companion. Returns in both processes.
    pub(super) fn fork_companion(self) -> Result<Pair, StartError> {
        let (end_of_life, liveness_pipe) =
            io::pipe().map_err(StartError::system("create a pipe"))?;
        let (views, view_server) = self.prepare_views().unzip();
        let (end_of_views, held) = death_pipe().map_err(StartError::system("create a pipe"))?;
        let supervisor = Pid::this();
        match fork()? {
            Side::Child => {
                drop((liveness_pipe, views, end_of_views));
                // If this process kept the socket open, a client could connect and would wait for a
                // reply that never comes.
                drop(listen::inherited(&self.config.endpoint));
                Ok(Pair::Companion(Companion {
                    views: view_server,
                    end_of_life,
                    _alive: held,
                    supervisor,
                    sockets: self.socket_files(),
                }))
            }
            Side::Parent(pid) => Ok(Pair::WithCompanion(Box::new(WithCompanion {
                checked: self,
                companion: CompanionProcess {
                    pid,
                    liveness_pipe: Some(liveness_pipe),
                },
                views,
                end_of_views,
            }))),
        }
    }

    /// The sockets that this daemon creates, each with its pid file.
    fn socket_files(&self) -> Vec<SocketFile> {
        let for_the_vmm = match &self.config.endpoint {
            Endpoint::Create(socket) => Some(socket.clone()),
            Endpoint::Inherited(_) => None,
        };
        let metrics = self.config.metrics.as_ref();
        let metrics = metrics.and_then(metrics_socket::file);
        for_the_vmm.into_iter().chain(metrics).collect()
    }

    /// Client and server of views, if a window is wanted.
    fn prepare_views(&self) -> Option<(StartingViews, ViewServer)> {
        self.window?;
        if self.config.share.read_only {
            // QEMU would let its guest write to a view.
            info!("the DAX window is only for a VMM that maps files for reading only");
            return None;
        }
        let (client, server) = ViewService::prepare()
            .inspect_err(|error| warn_of_views(&self.config, error))
            .ok()?;
        let server = match self.config.host_truncate {
            HostTruncate::Allow => server,
            HostTruncate::Refuse => server.refuse_truncation(&self.config.share.dir),
        };
        Some((client, server))
    }
}

impl WithCompanion {
    /// Creates sockets and pid files, or takes over the given socket.
    pub(super) fn listen(self) -> Result<Listening, StartError> {
        let config = &self.checked.config;
        let (listener, files) = listen::listen(&config.endpoint, &self.checked.stop)?;
        let mut files = vec![files];
        let metrics = match &config.metrics {
            Some(endpoint) => {
                let (place, more) = metrics_socket::listen(endpoint, &self.checked.stop)?;
                files.push(more);
                Some(place)
            }
            None => None,
        };
        Ok(Listening {
            files,
            metrics,
            checked: self.checked,
            listener,
            views: self.views,
            end_of_views: self.end_of_views,
            companion: self.companion,
        })
    }
}

/// The parent's handle of the companion. Dropping it ends the companion, as soon as no other
/// process holds the liveness pipe, and waits for that.
#[derive(Debug)]
pub(super) struct CompanionProcess {
    pid: Pid,
    liveness_pipe: Option<PipeWriter>,
}

impl CompanionProcess {
    /// The companion's process id.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Kills the companion, even while it serves.
    pub(super) fn kill(&self) {
        // Fails if the companion has ended already.
        let _ = nix::sys::signal::kill(self.pid, nix::sys::signal::Signal::SIGKILL);
    }

    /// In a fork of the parent: returns the pipe that keeps the companion alive, and leaves it to
    /// the parent to wait.
    pub(super) fn into_liveness_pipe(mut self) -> Option<PipeWriter> {
        let liveness_pipe = self.liveness_pipe.take();
        std::mem::forget(self);
        liveness_pipe
    }
}

impl Drop for CompanionProcess {
    fn drop(&mut self) {
        self.liveness_pipe = None;
        // Signal handlers restart system calls, so this returns when the companion has ended, or at
        // once if the supervisor has reaped it already.
        let _ = waitpid(self.pid, None);
    }
}
