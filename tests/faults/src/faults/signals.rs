// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! SIGTERM and SIGKILL to each of the daemon's processes at every stage, and a new daemon after it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use virtiofs_driver::daemon::DaemonError;
use virtiofs_driver::window::{Action, CallKind};
use virtiofs_driver::{Daemon, Vm};

use crate::checks::bytes;
use crate::fault::{Fault, Setting};
use crate::model::{FileModel, Slot};
use crate::rig::{
    Held, Rig, RigOptions, STEP_LIMIT, Watch, daemon, ended, expect_errno, vm_options,
};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("signals::while_it_listens", |setting| {
        at(setting, Stage::Listening)
    }),
    Fault::new("signals::while_a_vmm_negotiates", |setting| {
        at(setting, Stage::Negotiated)
    }),
    Fault::new("signals::while_files_are_open", |setting| {
        at(setting, Stage::FilesOpen)
    }),
    Fault::new("signals::while_files_are_mapped", |setting| {
        at(setting, Stage::Mapped)
    }),
    Fault::new("signals::while_a_map_is_under_way", |setting| {
        at(setting, Stage::MapUnderWay)
    }),
    Fault::new("signals::while_an_unmap_is_under_way", |setting| {
        at(setting, Stage::UnmapUnderWay)
    }),
    Fault::new("signals::while_the_device_is_stopped", |setting| {
        at(setting, Stage::Stopped)
    }),
    Fault::new("signals::the_companion_is_killed", the_companion_is_killed),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Listening,
    Negotiated,
    FilesOpen,
    Mapped,
    MapUnderWay,
    UnmapUnderWay,
    Stopped,
}

/// The process that gets the signal, the signal, and the exit code of the first process.
const ENDS: [(Role, Signal, Option<i32>); 5] = [
    (Role::Supervisor, Signal::TERM, Some(0)),
    (Role::Serving, Signal::TERM, Some(0)),
    (Role::Companion, Signal::TERM, Some(0)),
    (Role::Supervisor, Signal::KILL, None),
    (Role::Serving, Signal::KILL, Some(1)),
];

/// The role of a process of the daemon.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Supervisor,
    Serving,
    Companion,
}

/// The test's state beside the daemon. The fields are dropped in this order.
struct Guest {
    /// Holds the requests in flight.
    _held: Held,
    _vm: Option<Vm>,
    files: Vec<FileModel>,
}

fn at(setting: &Setting, stage: Stage) -> Result<()> {
    for (role, signal, code) in ENDS {
        let share = tempfile::tempdir()?;
        let what = || format!("{signal:?} to the {role:?} process");
        let (mut daemon, watch, guest) = reach(setting, stage, &share)?;
        watch.step(what());
        send(&daemon, &watch, role, signal)?;
        ended(&mut daemon, code).with_context(what)?;
        let kept = guest.files.iter();
        kept.clone()
            .try_for_each(|file| bytes::on_host(share.path(), file))
            .with_context(what)?;
        drop(guest);
        again(setting, share.path())?;
    }
    Ok(())
}

/// Starts a new daemon on the same directory.
fn again(setting: &Setting, share: &Path) -> Result<()> {
    let mut rig = Rig::start(setting, &on(share))?;
    let file = rig.create(0, 30_000)?;
    rig.map(1, file, 0, Slot(1))?;
    rig.finish()
}

fn on(share: &Path) -> RigOptions {
    RigOptions {
        share: Some(share.to_owned()),
        ..RigOptions::default()
    }
}

fn reach(setting: &Setting, stage: Stage, share: &TempDir) -> Result<(Daemon, Watch, Guest)> {
    let options = on(share.path());
    if matches!(stage, Stage::Listening | Stage::Negotiated) {
        let daemon = daemon(setting, &options)?;
        let watch = Watch::new(daemon.pid(), STEP_LIMIT);
        watch.step("the serving process starts");
        while process(&daemon, Role::Serving).is_err() {
            ensure!(!watch.expired(), "there is no serving process");
            std::thread::yield_now();
        }
        let negotiates = stage == Stage::Negotiated;
        let vm = negotiates.then(|| Vm::connect_stopped(&daemon.socket(), &vm_options(&options)));
        let guest = Guest {
            _held: Held::new(),
            _vm: vm.transpose()?,
            files: Vec::new(),
        };
        return Ok((daemon, watch, guest));
    }
    let mut rig = Rig::start(setting, &options)?;
    let held = Held::new();
    let file = rig.create(0, 100_000)?;
    rig.create(1, 5000)?;
    if stage != Stage::FilesOpen {
        rig.map(0, file, 0, Slot(1))?;
        rig.store(Slot(1), 60_000, 10_000)?;
    }
    match stage {
        Stage::MapUnderWay => {
            rig.next_call(CallKind::Map, Action::Hold(held.gate()));
            rig.begin_map(0, file, 0, Slot(2))?;
            held.wait_until_reached()?;
        }
        Stage::UnmapUnderWay => {
            rig.next_call(CallKind::Unmap, Action::Hold(held.gate()));
            rig.begin_unmap(0, Slot(1))?;
            held.wait_until_reached()?;
        }
        Stage::Stopped => rig.vm.stop()?,
        _ => {}
    }
    let ids = rig.files.ids().into_iter();
    let guest = Guest {
        _held: held,
        files: ids.map(|id| rig.files.get(id).clone()).collect(),
        _vm: Some(rig.vm),
    };
    Ok((rig.daemon, rig.watch, guest))
}

/// Sends the signal. While the daemon starts, the chosen process may end before it gets the signal.
/// Then another one is chosen.
pub(super) fn send(daemon: &Daemon, watch: &Watch, role: Role, signal: Signal) -> Result<()> {
    loop {
        let sent = process(daemon, role).map(|pid| daemon.signal(pid, signal));
        let gone = match &sent {
            Err(_) => true,
            Ok(Err(DaemonError::Signal(error))) => error.raw_os_error() == Some(libc::ESRCH),
            Ok(_) => false,
        };
        if !gone || watch.expired() {
            return Ok(sent??);
        }
        std::thread::yield_now();
    }
}

/// Whether the process has the thread that serves requests.
fn serves(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let mut threads = threads.into_iter().flatten().flatten();
    threads.any(|one| {
        let name = std::fs::read_to_string(one.path().join("comm"));
        name.is_ok_and(|name| name.trim_end() == "serve")
    })
}

/// The ID of a process of the daemon in its default sandbox.
pub(super) fn process(daemon: &Daemon, role: Role) -> Result<i32> {
    let all = daemon.processes();
    let supervisor = daemon.pid();
    let companion = |name: &str| name == "dax-views" || name == "daxd-companion";
    let found = match role {
        Role::Supervisor => Some(supervisor),
        Role::Companion => all
            .iter()
            .find(|one| companion(&one.name))
            .map(|one| one.pid),
        // The role is not told by the order: while the daemon starts, the sandbox has short-lived
        // processes there.
        Role::Serving => all.iter().map(|one| one.pid).find(|pid| serves(*pid)),
    };
    found.with_context(|| format!("there is no {role:?} process: {all:?}"))
}

/// Mappings stay. Files that have a view can be mapped, others can't. All other requests work.
fn the_companion_is_killed(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let (mapped, other) = (rig.create(0, 100_000)?, rig.create(1, 50_000)?);
    rig.map(0, mapped, 0, Slot(1))?;
    let companion = process(&rig.daemon, Role::Companion)?;
    rig.daemon.signal(companion, Signal::KILL)?;
    rig.watch.step("the companion ends");
    // The loop asks until the companion has ended.
    while Path::new(&format!("/proc/{companion}")).exists() {
        ensure!(!rig.watch.expired(), "the companion does not end");
        std::thread::yield_now();
    }
    rig.map(1, mapped, 0, Slot(2))?;
    rig.store(Slot(2), 70_000, 20_000)?;
    expect_errno(
        rig.ask_map(0, other, 0, Slot(3)),
        libc::EIO,
        "a map without a companion",
    )?;
    rig.verify()?;
    rig.unmap(0, Slot(1))?;
    rig.verify()?;
    rig.leave()
}
