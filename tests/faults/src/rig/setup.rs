// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Starts a daemon and a guest that mounts the share.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use virtiofs_driver::{
    Client, Daemon, InitOptions, Options, QueueIndex, Rules, Vm, Window, WindowOption,
};

use super::{STEP_LIMIT, Watch};
use crate::checks::Account;
use crate::fault::Setting;
use crate::model::{FileId, Files, Slot, WindowModel};

/// Slots of the window: 64 MiB.
const SLOTS: u64 = 32;

/// The settings of a rig.
#[derive(Debug, Clone)]
pub struct RigOptions {
    /// Request queues, each with a client.
    pub queues: usize,
    /// The VMM's rules.
    pub rules: Rules,
    /// Further options of the daemon.
    pub arguments: Vec<String>,
    /// The shared directory, if it is not a new one.
    pub share: Option<PathBuf>,
    /// The daemon's socket path, if it is not in a folder of its own.
    pub socket: Option<PathBuf>,
    /// Slots of the window, a power of two.
    pub slots: u64,
    /// Whether the VMM tells the daemon of each memory region (`--mem-slots`). Without this QEMU
    /// can't restart a device with more than 8 regions.
    pub mem_slots: bool,
}

impl Default for RigOptions {
    fn default() -> Self {
        Self {
            queues: 2,
            rules: Rules::qemu(),
            arguments: Vec::new(),
            share: None,
            socket: None,
            slots: SLOTS,
            mem_slots: false,
        }
    }
}

impl RigOptions {
    /// The default settings with this shared directory.
    pub fn on(share: impl Into<PathBuf>) -> Self {
        Self {
            share: Some(share.into()),
            ..Self::default()
        }
    }

    /// Adds an option of the daemon.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// A guest that has mounted the share. The fields are dropped in this order: the VM disconnects
/// before the daemon is ended.
pub struct Rig {
    /// One for each request queue.
    pub clients: Vec<Client>,
    /// The VM.
    pub vm: Vm,
    /// The daemon under test.
    pub daemon: Daemon,
    /// The time limit of each step.
    pub watch: Watch,
    /// The VMM's half of the window.
    pub window: Window,
    /// Slots that the window has.
    pub slots: u64,
    /// The expected files.
    pub files: Files,
    /// The expected content of the window.
    pub shown: WindowModel,
    /// The source of all random decisions.
    pub rng: Rng,
    /// The resources of the daemon's processes before there were files.
    pub(crate) before: Account,
}

impl Rig {
    /// Starts a daemon and mounts.
    pub fn start(setting: &Setting, options: &RigOptions) -> Result<Self> {
        let daemon = daemon(setting, options)?;
        Self::connect(setting, options, daemon)
    }

    /// A rig with the default settings, and a file of 100,000 bytes that is mapped at slot 1.
    pub fn mapped(setting: &Setting) -> Result<(Self, FileId)> {
        let mut rig = Self::start(setting, &RigOptions::default())?;
        let file = rig.create(0, 100_000)?;
        rig.map(0, file, 0, Slot(1))?;
        Ok((rig, file))
    }

    /// Mounts the share of a daemon that has just been started.
    pub fn connect(setting: &Setting, options: &RigOptions, daemon: Daemon) -> Result<Self> {
        let watch = Watch::new(daemon.pid(), STEP_LIMIT);
        let mut vm = Vm::connect(&daemon.socket(), &vm_options(options))?;
        let queues = 0..options.queues;
        let clients = queues.map(|queue| Client::new(&mut vm, QueueIndex::request(queue)));
        let clients = clients.collect::<Result<Vec<_>, _>>()?;
        let window = vm.window().cloned().context("there is a window")?;
        let mut rig = Self {
            clients,
            vm,
            daemon,
            watch,
            window,
            slots: options.slots,
            files: Files::default(),
            shown: WindowModel::default(),
            rng: Rng::with_seed(setting.seed),
            before: Account::default(),
        };
        rig.init()?;
        rig.warm_up()?;
        // The daemon releases the memory region of a removed mapping after the guest has its
        // answer.
        let settled = rig.window.wait_until_settled(STEP_LIMIT);
        ensure!(settled, "after {STEP_LIMIT:?} a removal is not in effect");
        rig.before = Account::of_one_at_rest(&rig.daemon)?;
        Ok(rig)
    }

    /// INIT, as at mount.
    pub fn init(&mut self) -> Result<()> {
        self.clients[0].init(&InitOptions::linux())?;
        Ok(())
    }

    /// Makes the daemon do on every queue what it does only the first time.
    fn warm_up(&mut self) -> Result<()> {
        for queue in 0..self.clients.len() {
            let file = self.create(queue, 4096)?;
            self.map(queue, file, 0, Slot(0))?;
            self.remove(queue, file)?;
        }
        Ok(())
    }
}

/// Starts the daemon of a rig.
pub fn daemon(setting: &Setting, options: &RigOptions) -> Result<Daemon> {
    let queues = format!("--request-queues={}", options.queues);
    let window = format!("--dax-window={}M", options.slots * 2);
    let mut command = Daemon::command(&setting.daemon)
        .args(["--tag=share", &window, &queues])
        .args(&options.arguments)
        .args(options.mem_slots.then_some("--mem-slots"));
    if let Some(share) = &options.share {
        command = command.share(share);
    }
    if let Some(socket) = &options.socket {
        command = command.socket(socket);
    }
    Ok(command.start()?)
}

/// The VM of a rig. Its time limit is longer than the watch's, whose report says more.
pub fn vm_options(options: &RigOptions) -> Options {
    Options {
        request_queues: options.queues,
        window: WindowOption::Required(options.rules),
        patience: STEP_LIMIT * 2,
        ..Options::default()
    }
}

/// A guest of a rig's kind that has mounted, without the rig's preparations.
pub fn guest(daemon: &Daemon, options: &RigOptions) -> Result<(Client, Vm)> {
    let mut vm = Vm::connect(&daemon.socket(), &vm_options(options))?;
    let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
    client.init(&InitOptions::linux())?;
    Ok((client, vm))
}
