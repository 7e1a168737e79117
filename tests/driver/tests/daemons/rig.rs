// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon, a VM and a client.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::daemon::{self, DaemonCommand};
use virtiofs_driver::window::Rules;
use virtiofs_driver::{
    Client, Daemon, FileOffset, FuseError, Handle, InitOptions, NodeId, Options, QueueIndex, Vm,
    Window, WindowOffset, WindowOption,
};

/// `FUSE_ATTR_DAX` of `linux/fuse.h`.
pub const ATTR_DAX: u32 = 1 << 1;
/// Bytes that Linux maps at a time.
pub const RANGE: u64 = 2 << 20;
/// How long an expected event may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
        let mut daemon = Daemon::command(program).show_log().args(arguments);
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

    /// Maps the first range of a file at this range of the window, for reading and writing.
    pub fn map(&mut self, node: NodeId, range: u64) -> Result<(), FuseError> {
        let (from, at) = (FileOffset(0), WindowOffset(range * RANGE));
        self.client.setup_mapping(node, from, RANGE, at, true)
    }

    /// Removes the mapping of this range of the window.
    pub fn unmap(&mut self, node: NodeId, range: u64) -> Result<(), FuseError> {
        let at = WindowOffset(range * RANGE);
        self.client.remove_mapping(node, &[(at, RANGE)])
    }

    /// Makes a file on the host, and maps it at the window's beginning.
    pub fn mapped_file(&mut self) -> Result<(Window, NodeId)> {
        let (node, _) = self.file("file", b"content")?;
        self.map(node, 0)?;
        Ok((self.window()?, node))
    }

    /// Makes a file with this content on the host, and returns its node and handle.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<(NodeId, Handle)> {
        std::fs::write(self.daemon.share().join(name), content)?;
        let node = self.client.node(name)?;
        let open = self.client.open(node, libc::O_RDWR)?;
        Ok((node, Handle(open.fh)))
    }
}

/// This project's daemon, to be started.
pub fn command() -> Result<DaemonCommand> {
    Ok(Daemon::command(daemon::daxd()?).show_log())
}

/// Runs a test on each daemon.
pub fn on_all(arguments: &[&str], test: impl Fn(&mut Rig) -> Result<()>) -> Result<()> {
    let mut all: Vec<(PathBuf, Vec<&str>)> = (daemons()?.into_iter())
        .map(|daemon| (daemon, arguments.to_vec()))
        .collect();
    // Once more with a daemon that watches its queues.
    all.push((daemon::daxd()?, [arguments, &["--poll=1000"]].concat()));
    for (daemon, arguments) in all {
        let mut rig = Rig::start_with(daemon.clone(), &Options::default(), &arguments)?;
        test(&mut rig).with_context(|| format!("{} {arguments:?}", daemon.display()))?;
    }
    Ok(())
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
