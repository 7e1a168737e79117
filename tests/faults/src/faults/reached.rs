// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon at some stage of its work, for faults that end it there, and its processes.

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use virtiofs_driver::daemon::DaemonError;
use virtiofs_driver::window::{Action, CallKind};
use virtiofs_driver::{Daemon, Vm};

use crate::fault::Setting;
use crate::model::{FileModel, Slot};
use crate::rig::{Held, Rig, RigOptions, STEP_LIMIT, Watch, daemon, vm_options};

/// The stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Listening,
    /// A VMM has negotiated, and has not started the device.
    Negotiated,
    Started,
    Mounted,
    FilesOpen,
    Mapped,
    MapUnderWay,
    UnmapUnderWay,
    /// Files are mapped, and the device is stopped.
    Stopped,
}

/// The role of a process of the daemon.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Supervisor,
    Serving,
    Companion,
}

/// A daemon, its guest, and the expected files. The fields are dropped in this order.
pub(super) struct Reached {
    /// Holds the requests in flight.
    pub(super) held: Held,
    pub(super) vm: Option<Vm>,
    pub(super) daemon: Daemon,
    pub(super) watch: Watch,
    pub(super) files: Vec<FileModel>,
}

/// Starts a daemon and brings it to this stage.
pub(super) fn reach(setting: &Setting, options: &RigOptions, stage: Stage) -> Result<Reached> {
    let held = Held::new();
    if matches!(stage, Stage::Listening | Stage::Negotiated | Stage::Started) {
        let daemon = daemon(setting, options)?;
        let watch = Watch::new(daemon.pid(), STEP_LIMIT);
        watch.step("the serving process starts");
        while process(&daemon, Role::Serving).is_err() {
            ensure!(!watch.expired(), "there is no serving process");
            std::thread::yield_now();
        }
        let (socket, options) = (daemon.socket(), vm_options(options));
        let vm = match stage {
            Stage::Listening => None,
            Stage::Negotiated => Some(Vm::connect_stopped(&socket, &options)?),
            _ => Some(Vm::connect(&socket, &options)?),
        };
        let files = Vec::new();
        return Ok(Reached {
            held,
            vm,
            daemon,
            watch,
            files,
        });
    }
    let mut rig = Rig::start(setting, options)?;
    if stage != Stage::Mounted {
        let (mapped, written) = (rig.create(0, 100_000)?, rig.create(1, 50_000)?);
        if stage != Stage::FilesOpen {
            rig.map(0, mapped, 0, Slot(1))?;
            rig.store(Slot(1), 60_000, 10_000)?;
            rig.map(1, written, 0, Slot(2))?;
        }
        match stage {
            Stage::MapUnderWay => {
                rig.next_call(CallKind::Map, Action::Hold(held.gate()));
                rig.begin_map(0, written, 0, Slot(3))?;
                held.wait_until_reached()?;
                rig.write(1, written, 40_000, b"while another request is in flight")?;
            }
            Stage::UnmapUnderWay => {
                rig.next_call(CallKind::Unmap, Action::Hold(held.gate()));
                rig.begin_unmap(0, Slot(1))?;
                held.wait_until_reached()?;
            }
            Stage::Stopped => rig.vm.stop()?,
            _ => {}
        }
    }
    let ids = rig.files.ids().into_iter();
    Ok(Reached {
        held,
        files: ids.map(|id| rig.files.get(id).clone()).collect(),
        vm: Some(rig.vm),
        daemon: rig.daemon,
        watch: rig.watch,
    })
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
        Role::Serving => all
            .iter()
            .find(|one| one.has_thread("serve"))
            .map(|one| one.pid),
    };
    found.with_context(|| format!("there is no {role:?} process: {all:?}"))
}
