// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon, a guest, and the judgement of the daemon's answers.
//!
//! Wrong are: an inode from outside, the secret's bytes, a change outside, a request that is served
//! and has to be refused, and a daemon that no longer answers.

use std::fs;
use std::path::Path;

use anyhow::Result;
use virtiofs_driver::fuse::EntryOut;
use virtiofs_driver::{
    Client, Daemon, FileOffset, FuseError, Handle, InitOptions, NodeId, Options, QueueIndex, Vm,
    WindowOffset,
};

use super::fixture::{Fixture, Outside, SECRET};
use super::table::{Step, answer};

/// Bytes that are mapped at a time.
const RANGE: u64 = 2 << 20;

/// The fields are dropped in this order: the VM disconnects, the daemon ends, the mounts are
/// removed.
pub struct Site {
    /// The guest.
    pub client: Client,
    _vm: Vm,
    /// The daemon under test.
    pub daemon: Daemon,
    /// The host's files.
    pub fixture: Fixture,
    before: Outside,
    steps: Vec<Step>,
}

impl Site {
    /// A new daemon that shares BASE/share.
    pub fn new(program: &Path, arguments: &[String]) -> Result<Self> {
        let fixture = Fixture::lay()?;
        let share = fixture.share();
        Self::on(fixture, program, arguments, &share)
    }

    /// A new daemon that shares all of BASE, so that the outside can be reached.
    pub fn too_wide(program: &Path, arguments: &[String]) -> Result<Self> {
        let fixture = Fixture::lay()?;
        let base = fixture.base().to_owned();
        Self::on(fixture, program, arguments, &base)
    }

    fn on(fixture: Fixture, program: &Path, arguments: &[String], share: &Path) -> Result<Self> {
        let before = fixture.look()?;
        let daemon = Daemon::command(program)
            .arg("--tag=share")
            .args(arguments)
            .share(share)
            .start()?;
        let mut vm = Vm::connect(&daemon.socket(), &Options::default())?;
        let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
        client.init(&InitOptions::linux())?;
        Ok(Self {
            client,
            _vm: vm,
            daemon,
            fixture,
            before,
            steps: Vec::new(),
        })
    }

    /// Records a request that has to be refused.
    pub fn refused<T>(&mut self, what: &str, result: Result<T, FuseError>) {
        let wrong = result.is_ok().then(|| "it was served".to_owned());
        self.record(what, &result, wrong);
    }

    /// Records a request that may be served, if nothing outside changes.
    pub fn harmless<T>(&mut self, what: &str, result: Result<T, FuseError>) {
        let changed = self.changed();
        self.record(what, &result, changed);
    }

    /// Records a lookup that may be served with a file of the share, and checks the file.
    pub fn inside(
        &mut self,
        what: &str,
        result: Result<EntryOut, FuseError>,
    ) -> Result<Option<NodeId>> {
        let wrong = match &result {
            Ok(entry) => self.trespass(entry)?,
            Err(_) => None,
        };
        self.record(what, &result, wrong);
        Ok(result.ok().map(|entry| NodeId(entry.nodeid)))
    }

    /// Records a summary of many requests.
    pub fn summary(&mut self, what: &str, answer: String, wrong: Option<String>) {
        let what = what.to_owned();
        self.steps.push(Step {
            what,
            answer,
            wrong,
        });
    }

    /// The path outside the share that a node is or leads to.
    pub fn trespass(&mut self, entry: &EntryOut) -> Result<Option<String>> {
        let node = NodeId(entry.nodeid);
        if let Some(path) = self.fixture.outside_by_inode(entry.attr.ino)? {
            return Ok(Some(format!("it is {}", path.display())));
        }
        if self.read(node).is_ok_and(|bytes| bytes == SECRET) {
            return Ok(Some("the secret was read".to_owned()));
        }
        Ok(None)
    }

    /// The content of a node.
    pub fn read(&mut self, node: NodeId) -> Result<Vec<u8>, FuseError> {
        let handle = Handle(self.client.open(node, libc::O_RDONLY)?.fh);
        let bytes = self.client.read_vec(node, handle, FileOffset(0), 4096);
        self.client.release(node, handle)?;
        bytes
    }

    /// SETUPMAPPING of a node's first range.
    pub fn map(&mut self, node: NodeId, write: bool) -> Result<(), FuseError> {
        let (from, at) = (FileOffset(0), WindowOffset(0));
        self.client.setup_mapping(node, from, RANGE, at, write)
    }

    /// Checks whether a file of the share still has this content.
    pub fn still_holds(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let now = fs::read(self.fixture.share().join(name))?;
        let wrong = (now != content).then(|| format!("{name} has another content"));
        let answer = if wrong.is_some() {
            "changed"
        } else {
            "as it was"
        };
        self.summary(&format!("{name} afterwards"), answer.to_owned(), wrong);
        Ok(())
    }

    /// Ends an attempt. Returns all steps, with the judgement of the whole.
    pub fn finish(mut self) -> Vec<Step> {
        let alive = self.client.getattr(NodeId::ROOT, None);
        if alive.as_ref().is_err_and(|error| error.errno().is_none()) {
            let log = self.daemon.log();
            let last = log.lines().last().unwrap_or_default().to_owned();
            self.record("GETATTR afterwards", &alive, Some(last));
        }
        let changed = self.changed();
        if changed.is_some() {
            self.summary("outside afterwards", "changed".to_owned(), changed);
        }
        self.steps
    }

    /// The changes outside the share.
    pub fn changed(&self) -> Option<String> {
        match self.fixture.look() {
            Ok(now) => self.before.changed_to(&now),
            Err(error) => Some(format!("outside can't be read: {error}")),
        }
    }

    fn record<T>(&mut self, what: &str, result: &Result<T, FuseError>, wrong: Option<String>) {
        let lost = result
            .as_ref()
            .err()
            .filter(|error| error.errno().is_none());
        let wrong = wrong.or_else(|| lost.map(|error| format!("no answer: {error}")));
        self.summary(what, answer(result), wrong);
    }
}
