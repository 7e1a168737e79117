// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon ends at some stage, and the next daemon on the same socket path serves the same files.

use std::path::Path;
use std::thread;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use virtiofs_driver::{Body, NodeId, Request, Vm};

use super::reached::{Reached, Role, Stage, process, reach, send};
use crate::checks::bytes;
use crate::fault::{Fault, Setting};
use crate::host::{Behaviour, Layer, Operation};
use crate::model::{FileModel, Slot};
use crate::rig::{Held, Rig, RigOptions, ended};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("restart::before_init", |setting| {
        restarted(setting, Stage::Started)
    }),
    Fault::new("restart::after_init", |setting| {
        restarted(setting, Stage::Mounted)
    }),
    Fault::new("restart::with_live_mappings", |setting| {
        restarted(setting, Stage::Mapped)
    }),
    Fault::new("restart::with_a_request_in_flight", |setting| {
        restarted(setting, Stage::MapUnderWay)
    }),
    Fault::long(
        "restart::while_a_request_hangs_in_the_kernel",
        while_a_request_hangs,
    ),
];

/// How the first daemon ends.
#[derive(Debug, Clone, Copy)]
enum End {
    VmmLeaves,
    Signal(Role, Signal, Option<i32>),
    /// All processes are killed at once: no process is left to remove the socket and the pid file.
    AllKilled,
}

const ENDS: [End; 5] = [
    End::VmmLeaves,
    End::Signal(Role::Supervisor, Signal::TERM, Some(0)),
    End::Signal(Role::Supervisor, Signal::KILL, None),
    End::Signal(Role::Serving, Signal::KILL, Some(1)),
    End::AllKilled,
];

/// Options for daemons that share a directory of this folder, on a socket in this folder.
pub fn at(folder: &Path) -> Result<RigOptions> {
    let share = folder.join("share");
    std::fs::create_dir_all(&share)?;
    Ok(RigOptions {
        share: Some(share),
        socket: Some(folder.join("sock")),
        ..RigOptions::default()
    })
}

fn restarted(setting: &Setting, stage: Stage) -> Result<()> {
    for end in ENDS {
        let folder = tempfile::tempdir()?;
        let options = at(folder.path())?;
        let first = reach(setting, &options, stage)?;
        let files = first.end(end).with_context(|| format!("{end:?}"))?;
        serves_on(setting, &options, files).with_context(|| format!("after {end:?}"))?;
    }
    Ok(())
}

impl Reached {
    /// Ends the daemon. Checks that only unavoidable files are left, and returns the expected
    /// content.
    fn end(mut self, end: End) -> Result<Vec<FileModel>> {
        self.watch.step(format!("{end:?}"));
        match end {
            End::VmmLeaves => {
                self.vm.iter().for_each(Vm::disconnect);
                ended(&mut self.daemon, Some(0))?;
            }
            End::Signal(role, signal, code) => {
                send(&self.daemon, &self.watch, role, signal)?;
                ended(&mut self.daemon, code)?;
            }
            End::AllKilled => {
                self.daemon.kill();
                let left = self.daemon.processes();
                ensure!(left.is_empty(), "processes are left: {left:?}");
                ensure!(self.daemon.socket().exists(), "who removed the socket?");
            }
        }
        let share = self.daemon.share();
        self.files
            .iter()
            .try_for_each(|file| bytes::on_host(share, file))?;
        drop(self.held);
        Ok(self.files)
    }
}

/// A file system of the host never answers, so one thread of the daemon can't be ended. All other
/// threads and processes end, and the daemon logs what it waited for. A new daemon serves the same
/// path meanwhile. The ends are played at the same time, because each daemon waits out its limits.
fn while_a_request_hangs(setting: &Setting) -> Result<()> {
    // After the last kind of end, the old companion stays as long as the thread does. The next
    // daemon takes over its files.
    let ends = [
        (End::VmmLeaves, Some(1)),
        (
            End::Signal(Role::Supervisor, Signal::TERM, Some(1)),
            Some(1),
        ),
        (End::Signal(Role::Supervisor, Signal::KILL, None), None),
    ];
    thread::scope(|scope| {
        let begun = ends.map(|(end, code)| {
            scope.spawn(move || {
                ended_while_a_request_hangs(setting, end, code).with_context(|| format!("{end:?}"))
            })
        });
        begun.into_iter().try_for_each(|end| {
            let played = end.join();
            played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

fn ended_while_a_request_hangs(setting: &Setting, end: End, code: Option<i32>) -> Result<()> {
    let layer = Layer::mount()?;
    let folder = tempfile::tempdir()?;
    let options = RigOptions {
        share: Some(layer.share()),
        ..at(folder.path())?
    };
    let mut rig = Rig::start(setting, &options)?;
    let file = rig.create(0, 100_000)?;
    let held = Held::new();
    layer.set(Operation::Lookup, Behaviour::Hold(held.gate()));
    let name = rig.files.get(file).name.clone();
    let pipeline = rig.clients[1].pipeline();
    pipeline.submit(&Request::new(NodeId::ROOT, Body::lookup(&name)))?;
    pipeline.kick()?;
    held.wait_until_reached()?;
    layer.clear();
    let serving = process(&rig.daemon, Role::Serving)?;
    let files = vec![rig.files.get(file).clone()];
    if let End::Signal(role, signal, _) = end {
        send(&rig.daemon, &rig.watch, role, signal)?;
    }
    let (mut daemon, watch) = rig.without_vm();
    watch.step("the end, while a request hangs");
    if code.is_some() {
        ended(&mut daemon, code)?;
        let said = format!("process {serving} can't be killed: the kernel waits");
        ensure!(daemon.log().contains(&said), "it says: {}", daemon.log());
    }
    // A signal can interrupt the thread's wait until the process is being killed. After that
    // the thread is in state D.
    while !hangs(serving) {
        ensure!(!watch.expired(), "nothing hangs");
        thread::yield_now();
    }
    serves_on(setting, &options, files).context("the next daemon")?;
    drop(held);
    watch.step("the request is answered, and the rest of the daemon goes");
    while hangs(serving) || !daemon.processes().is_empty() {
        ensure!(!watch.expired(), "it is there still");
        thread::yield_now();
    }
    Ok(())
}

/// Whether a thread of this process waits in a state that no signal ends (D of proc_pid_stat(5)).
fn hangs(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut threads = threads.into_iter().flatten().flatten();
    threads.any(|one| {
        let status = std::fs::read_to_string(one.path().join("status"));
        status.is_ok_and(|status| status.contains("State:\tD"))
    })
}

/// Checks that a new daemon serves these files, by FUSE and through the window.
pub fn serves_on(setting: &Setting, options: &RigOptions, files: Vec<FileModel>) -> Result<()> {
    let mut rig = Rig::start(setting, options)?;
    let ids: Vec<_> = files.into_iter().map(|file| rig.files.add(file)).collect();
    rig.find_again(0)?;
    for (id, slot) in ids.into_iter().zip((4..).map(Slot)) {
        let size = rig.files.get(id).bytes.len();
        rig.read(1, id, 0, size)?;
        rig.map(0, id, 0, slot)?;
        rig.store(slot, 10, 5000)?;
    }
    let file = rig.create(0, 30_000)?;
    rig.map(1, file, 0, Slot(1))?;
    rig.finish()
}
