// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon, a VM and a client.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::daemon;
use virtiofs_driver::window::Rules;
use virtiofs_driver::{
    Client, Daemon, Handle, InitOptions, NodeId, Options, QueueIndex, Vm, Window, WindowOption,
};

/// `FUSE_ATTR_DAX` of `linux/fuse.h`.
pub const ATTR_DAX: u32 = 1 << 1;
/// Bytes that Linux maps at a time.
pub const RANGE: u64 = 2 << 20;
/// How long an expected event may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long the test waits for an event that must not happen: there is no other condition to wait
/// for.
pub const MUST_NOT_HAPPEN: Duration = Duration::from_millis(50);

/// The fields are dropped in this order: the VM disconnects before the daemon is ended.
pub struct Rig {
    pub client: Client,
    pub vm: Vm,
    pub daemon: Daemon,
}

impl Rig {
    /// This project's daemon with a window of 64 MiB.
    pub fn start(options: &Options) -> Result<Self> {
        Self::start_with(
            daemon::daxd()?,
            options,
            &["--tag=share", "--dax-window=64M"],
        )
    }

    /// A rig whose VM has a window with these rules.
    pub fn with_rules(rules: Rules) -> Result<Self> {
        Self::start(&ruled_by(rules))
    }

    /// A rig with any daemon.
    pub fn start_with(program: PathBuf, options: &Options, arguments: &[&str]) -> Result<Self> {
        let root = rustix::process::geteuid().is_root();
        ensure!(
            root,
            "daemons confine themselves as root does: run these tests as root"
        );
        let mut daemon = Daemon::command(program).args(arguments);
        if options.request_queues > 1 {
            daemon = daemon.arg(format!("--request-queues={}", options.request_queues));
        }
        Self::on(daemon.start()?, options)
    }

    /// A guest that has mounted the share of a running daemon.
    pub fn on(daemon: Daemon, options: &Options) -> Result<Self> {
        let mut vm = Vm::connect(&daemon.socket(), options)?;
        let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
        client.init(&InitOptions::linux())?;
        Ok(Self { client, vm, daemon })
    }

    pub fn window(&self) -> Result<Window> {
        self.vm.window().cloned().context("there is no window")
    }

    /// Makes a file with this content on the host, and returns its node and handle.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<(NodeId, Handle)> {
        std::fs::write(self.daemon.share().join(name), content)?;
        let node = NodeId(self.client.lookup(NodeId::ROOT, name)?.nodeid);
        let open = self.client.open(node, libc::O_RDWR)?;
        Ok((node, Handle(open.fh)))
    }
}

/// Options of a VM that has a window with these rules.
pub fn ruled_by(rules: Rules) -> Options {
    Options {
        window: WindowOption::Required(rules),
        ..Options::default()
    }
}

/// This project's daemon, and another one if the environment names one.
pub fn daemons() -> Result<Vec<PathBuf>> {
    let other = daemon::virtiofsd()?;
    if other.is_none() {
        eprintln!("only this project's daemon is tested: VIRTIOFSD names no other");
    }
    Ok([Some(daemon::daxd()?), other]
        .into_iter()
        .flatten()
        .collect())
}

/// Bytes in which each word of 8 bytes differs from the others.
pub fn pattern(len: usize) -> Vec<u8> {
    let words =
        (0..len.div_ceil(8) as u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let mut bytes: Vec<_> = words.flatten().collect();
    bytes.truncate(len);
    bytes
}
