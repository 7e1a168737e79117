// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon, a VM and a client.

use anyhow::{Context, Result};
use virtiofs_driver::daemon;
use virtiofs_driver::{Client, Daemon, InitOptions, Options, QueueIndex, Vm, Window};

/// Bytes that Linux maps at a time.
pub const RANGE: u64 = 2 << 20;

/// Dropped in this order: the VM leaves before the daemon is ended.
pub struct Rig {
    pub client: Client,
    pub vm: Vm,
    pub daemon: Daemon,
}

impl Rig {
    /// This project's daemon with a window of 64 MiB.
    pub fn start(options: &Options) -> Result<Self> {
        Self::start_with(options, &[])
    }

    /// The same with further options.
    pub fn start_with(options: &Options, arguments: &[&str]) -> Result<Self> {
        let queues = format!("--request-queues={}", options.request_queues);
        let daemon = Daemon::command(daemon::daxd()?)
            .args(["--tag=share", "--dax-window=64M", &queues])
            .args(arguments)
            .start()?;
        Self::connect(daemon, options)
    }

    /// A client of a daemon that was just started.
    pub fn connect(daemon: Daemon, options: &Options) -> Result<Self> {
        let mut vm = Vm::connect(&daemon.socket(), options)?;
        let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
        client.init(&InitOptions::linux())?;
        Ok(Self { client, vm, daemon })
    }

    pub fn window(&self) -> Result<Window> {
        self.vm.window().cloned().context("there is a window")
    }
}
