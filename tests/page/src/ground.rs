// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon with a page, and a guest that maps files.

use std::fs::File;

use anyhow::{Context, Result};
use virtiofs_driver::{
    Client, Daemon, FileOffset, InitOptions, NodeId, Options, QueueIndex, Vm, WindowOffset, daemon,
};

/// Bytes that Linux maps at a time.
pub const RANGE: u64 = 2 << 20;

/// The fields are dropped in this order: the VM disconnects before the daemon is ended.
pub struct Ground {
    pub client: Client,
    _vm: Vm,
    pub daemon: Daemon,
}

impl Ground {
    /// A daemon with a window of this size, as `--dax-window` takes it.
    pub fn start(window: &str) -> Result<Self> {
        let daemon = Daemon::command(daemon::daxd()?)
            .show_log()
            .arg("--tag=share")
            .arg(format!("--dax-window={window}"))
            .arg("--metrics=127.0.0.1:0")
            .start()?;
        let mut vm = Vm::connect(&daemon.socket(), &Options::default())?;
        let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
        client.init(&InitOptions::linux())?;
        Ok(Self {
            client,
            _vm: vm,
            daemon,
        })
    }

    /// The origin of the page: `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> Result<String> {
        let log = self.daemon.log();
        let (_, rest) = log.split_once("metrics at ").with_context(|| log.clone())?;
        let (origin, _) = rest.split_once("/metrics").context("no path")?;
        Ok(origin.to_owned())
    }

    /// Makes a file of `ranges` ranges on the host, and returns its node.
    pub fn file(&mut self, name: &str, ranges: u64) -> Result<NodeId> {
        let mut parent = NodeId::ROOT;
        let path = self.daemon.share().join(name);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        File::create(&path)?.set_len(ranges * RANGE)?;
        for component in name.split('/') {
            parent = NodeId(self.client.lookup(parent, component)?.nodeid);
        }
        Ok(parent)
    }

    /// Maps one range of a file at one range of the window.
    pub fn map(&mut self, node: NodeId, from: u64, at: u64, writable: bool) -> Result<()> {
        let (from, at) = (FileOffset(from * RANGE), WindowOffset(at * RANGE));
        Ok(self.client.setup_mapping(node, from, RANGE, at, writable)?)
    }

    /// Removes the mapping of one range of the window.
    pub fn unmap(&mut self, node: NodeId, at: u64) -> Result<()> {
        let range = (WindowOffset(at * RANGE), RANGE);
        Ok(self.client.remove_mapping(node, &[range])?)
    }
}
