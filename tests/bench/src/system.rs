// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The systems under test: daemons, each with a VM of its own. A daemon runs all the time, and is
//! idle during the turns of other sides.

mod affinity;
mod cpu;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use virtiofs_driver::{Client, Daemon, Framing, InitOptions, Options, QueueIndex, Vm};

use crate::model::Side;

pub use affinity::Affinity;
pub use cpu::{ProcessTree, cpu_of_this_process};

/// A program that serves a share.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name of its sides.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// The first line of `--version`.
    pub version: String,
    /// Whether it supports several request queues.
    pub queues: bool,
    /// Whether it supports a window.
    pub window: bool,
}

impl Program {
    /// Asks the program at `path` for its version and its options.
    ///
    /// # Errors
    ///
    /// If it can't be run, or does not support `--help`.
    pub fn at(path: &Path, name: &str) -> Result<Self> {
        let no_daemon = || format!("{} is no daemon that can be measured", path.display());
        let help = ask(path, "--help").with_context(no_daemon)?;
        let version = ask(path, "--version").with_context(no_daemon)?;
        Ok(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            version: version.lines().next().unwrap_or("").to_owned(),
            queues: help.contains("--request-queues"),
            window: help.contains("--dax-window"),
        })
    }
}

fn ask(path: &Path, option: &str) -> Result<String> {
    let Output { status, stdout, .. } = Command::new(path).arg(option).output()?;
    ensure!(status.success(), "{option} ended with {status}");
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// A daemon that serves, a VM, and a client on its first request queue.
#[derive(Debug)]
pub struct Running {
    /// The side's name.
    pub name: String,
    /// The version that its program prints.
    pub version: String,
    /// Its command line.
    pub command: Vec<String>,
    /// The VM. It is dropped before the daemon, which then ends by itself.
    pub vm: Vm,
    /// Its processes.
    pub processes: ProcessTree,
    /// The daemon.
    pub daemon: Daemon,
}

impl Running {
    /// Starts the program on the share with these additional options.
    ///
    /// # Errors
    ///
    /// If it does not start, or a VM can't connect.
    pub fn start(
        name: &str,
        program: &Program,
        share: &Path,
        more: &[String],
        options: &Options,
    ) -> Result<Self> {
        let command = Daemon::command(&program.path).share(share).args(more);
        let daemon = command.start();
        let daemon = daemon.with_context(|| format!("{name} did not start"))?;
        let vm = Vm::connect(&daemon.socket(), options);
        let vm = vm.with_context(|| format!("{name} takes no VM"))?;
        let version = program.version.clone();
        let program = [program.path.display().to_string()];
        Ok(Self {
            name: name.to_owned(),
            version,
            command: program.into_iter().chain(more.iter().cloned()).collect(),
            vm,
            processes: ProcessTree::of_daemon(&daemon),
            daemon,
        })
    }

    /// A VM whose guest is Linux, with queues as long as QEMU's.
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
    /// If the queue is already taken, or the daemon answers an error.
    pub fn mount(&mut self) -> Result<Client> {
        let client = Client::new(&mut self.vm, QueueIndex::request(0));
        let mounted = client.and_then(|mut client| {
            client.init(&InitOptions::linux())?;
            Ok(client)
        });
        mounted.with_context(|| format!("{} can't be mounted", self.name))
    }

    /// Binds the daemon to its processors.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn keep(&self, affinity: Affinity) -> Result<()> {
        let kept = affinity.daemon(&self.processes);
        kept.with_context(|| format!("{} can't be kept on its processors", self.name))
    }

    /// The side for the report.
    pub fn side(&self, about: &str) -> Side {
        Side {
            name: self.name.clone(),
            about: format!("{}, {about}", self.version),
            command: self.command.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_daemon_is_told() {
        for path in ["/no/such", "/bin/false"] {
            let error = Program::at(Path::new(path), "x").unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
