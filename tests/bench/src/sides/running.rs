// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon with a VM.

use std::{
    io,
    path::{Path, PathBuf},
};

use virtiofs_driver::{
    Client, Daemon, Framing, FuseError, InitOptions, Options, QueueIndex, Vm, daemon::DaemonError,
    memory::MemoryError, vhost::VhostError,
};

use super::{Pin, Program, cpu::Family};
use crate::model::Side;

/// Why a daemon does not serve.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The program does not run.
    #[error("{} is no daemon that can be measured", path.display())]
    NoDaemon {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It did not start.
    #[error("{side} did not start")]
    Start {
        /// Which side.
        side: String,
        /// Why.
        source: DaemonError,
    },
    /// It can't be kept on a processor.
    #[error("{side} can't be kept on its processors")]
    Pin {
        /// Which side.
        side: String,
        /// Why.
        source: rustix::io::Errno,
    },
    /// There is no VM with it.
    #[error("{side} takes no VM")]
    Connect {
        /// Which side.
        side: String,
        /// Why.
        source: VhostError,
    },
    /// It can't be mounted.
    #[error("{side} can't be mounted")]
    Mount {
        /// Which side.
        side: String,
        /// Why.
        source: FuseError,
    },
    /// There is no memory for its guest.
    #[error("{side}: there is no memory for its guest")]
    Memory {
        /// Which side.
        side: String,
        /// Why.
        source: MemoryError,
    },
}

/// A daemon that serves, a VM, and a client on its first request queue.
#[derive(Debug)]
pub struct Running {
    /// The side's name.
    pub name: String,
    /// What its program says of itself.
    pub version: String,
    /// Its command line.
    pub command: Vec<String>,
    /// The VM; it goes before the daemon, which then ends by itself.
    pub vm: Vm,
    /// Its processes.
    pub family: Family,
    /// The daemon.
    pub daemon: Daemon,
}

impl Running {
    /// Starts the program on the share with these options more.
    ///
    /// # Errors
    ///
    /// If it does not start or takes no VM.
    pub fn start(
        name: &str,
        program: &Program,
        share: &Path,
        more: &[String],
        options: &Options,
    ) -> Result<Self, SideError> {
        let side = || name.to_owned();
        let command = Daemon::command(&program.path).share(share).args(more);
        let daemon = command.start();
        let daemon = daemon.map_err(|source| SideError::Start {
            side: side(),
            source,
        })?;
        let vm = Vm::connect(&daemon.socket(), options);
        let vm = vm.map_err(|source| SideError::Connect {
            side: side(),
            source,
        })?;
        let version = program.version.clone();
        let program = [program.path.display().to_string()];
        Ok(Self {
            name: side(),
            version,
            command: program.into_iter().chain(more.iter().cloned()).collect(),
            vm,
            family: Family::of(&daemon),
            daemon,
        })
    }

    /// A VM whose guest is Linux, and whose queues are as long as QEMU's are made.
    pub fn options() -> Options {
        Options {
            queue_size: 1024,
            framing: Framing::Linux,
            ..Options::default()
        }
    }

    /// Takes the first request queue and mounts.
    ///
    /// # Errors
    ///
    /// If the queue is taken or the daemon refuses.
    pub fn mount(&mut self) -> Result<Client, SideError> {
        let client = Client::new(&mut self.vm, QueueIndex::request(0));
        let mounted = client.and_then(|mut client| {
            client.init(&InitOptions::linux())?;
            Ok(client)
        });
        mounted.map_err(|source| SideError::Mount {
            side: self.name.clone(),
            source,
        })
    }

    /// Keeps the daemon on its processors.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn keep(&self, pin: Pin) -> Result<(), SideError> {
        let kept = pin.daemon(self.family.processes());
        kept.map_err(|source| SideError::Pin {
            side: self.name.clone(),
            source,
        })
    }

    /// For the report.
    pub fn side(&self, about: &str) -> Side {
        Side {
            name: self.name.clone(),
            about: format!("{}, {about}", self.version),
            command: self.command.clone(),
        }
    }
}
