// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM in a process of its own, which a test can kill.
//!
//! The program is this VMM if it is started with `--as-vmm STAGE SOCKET`. It mounts, maps and
//! stores, brings the stage about, reports that on its standard output, and waits to be killed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Signal, set_parent_process_death_signal};
use virtiofs_driver::window::{Action, CallKind};
use virtiofs_driver::{
    Body, Client, FileOffset, InitOptions, NodeId, QueueIndex, Request, Script, Vm,
};

use crate::model::{RANGE, Slot};
use crate::rig::{Held, RigOptions, vm_options};

/// The option that makes the program a VMM.
const OPTION: &str = "--as-vmm";
/// The VMM prints this when it has reached the stage.
const REACHED: &str = "reached";
/// The file that it maps.
pub const FILE: &str = "file-of-the-vmm";
/// The offset and the bytes that it stores into that file, through the window.
pub const STORED: (usize, &[u8]) = (5000, b"stored by a VMM that was killed");
/// The number of mappings that are in flight then.
pub const MANY: u64 = 120;

/// The state of the mappings when the VMM is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The first mapping is not acknowledged yet.
    Map,
    /// The first mapping is acknowledged, and not in effect.
    Effect,
    /// The first mapping is in effect, and not confirmed.
    Fence,
    /// A removal is not acknowledged yet, and mappings wait behind it.
    Unmap,
}

/// A running VMM. Its drop kills it.
#[derive(Debug)]
pub struct Vmm(Child);

impl Stage {
    /// All stages by name.
    const NAMES: [(&str, Self); 4] = [
        ("map", Self::Map),
        ("effect", Self::Effect),
        ("fence", Self::Fence),
        ("unmap", Self::Unmap),
    ];

    fn name(self) -> &'static str {
        let found = Self::NAMES.into_iter().find(|(_, stage)| *stage == self);
        found.map_or("", |(name, _)| name)
    }
}

/// The rig's settings for such a VMM.
pub fn options() -> RigOptions {
    RigOptions {
        slots: 128,
        ..RigOptions::default()
    }
}

impl Vmm {
    /// Starts a VMM on this socket, and returns when it has reached the stage.
    pub fn start(stage: Stage, socket: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([OPTION, stage.name()])
            .arg(socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a VMM")?;
        let output = child.stdout.take().context("its output")?;
        let vmm = Self(child);
        let mut line = String::new();
        // This read ends at the latest with the VMM, which has a time limit for each request.
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim_end() == REACHED, "the VMM ended before {stage:?}");
        Ok(vmm)
    }

    /// Sends SIGKILL, and returns when the VMM has ended.
    pub fn kill(mut self) -> Result<()> {
        let before = self.0.try_wait()?;
        ensure!(before.is_none(), "the VMM has ended by itself: {before:?}");
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Vmm {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Acts as a VMM if the program's arguments ask for it. Then it returns only after a failure.
pub fn be_one_if_told() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(OPTION) {
        return Ok(());
    }
    let (Some(name), Some(socket)) = (arguments.next(), arguments.next()) else {
        bail!("{OPTION} STAGE SOCKET");
    };
    let found = Stage::NAMES.into_iter().find(|(known, _)| *known == name);
    let (_, stage) = found.with_context(|| format!("{OPTION}: there is no stage {name}"))?;
    be_one(stage, &PathBuf::from(socket))
}

fn be_one(stage: Stage, socket: &Path) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let options = options();
    let mut vm = Vm::connect(socket, &vm_options(&options))?;
    let queues = 0..options.queues;
    let clients = queues.map(|queue| Client::new(&mut vm, QueueIndex::request(queue)));
    let mut clients = clients.collect::<Result<Vec<_>, _>>()?;
    clients[0].init(&InitOptions::linux())?;
    let node = clients[0].node(FILE)?;
    let last = Slot(options.slots - 1);
    clients[0].setup_mapping(node, FileOffset(0), RANGE, last.offset(), true)?;
    let window = vm.window().cloned().context("there is a window")?;
    let (at, stored) = STORED;
    window.write(
        virtiofs_driver::WindowOffset(last.offset().0 + at as u64),
        stored,
    )?;

    let held = Held::new();
    let (kind, action) = match stage {
        Stage::Map => (CallKind::Map, Action::Hold(held.gate())),
        Stage::Effect => (CallKind::Map, Action::HoldEffect(held.gate())),
        Stage::Fence => (CallKind::Fence, Action::Hold(held.gate())),
        Stage::Unmap => (CallKind::Unmap, Action::Hold(held.gate())),
    };
    let mut action = Some(action);
    vm.set_script(Script::new(move |call| {
        let now = call.kind == kind;
        now.then(|| action.take()).flatten().unwrap_or_default()
    }));
    if stage == Stage::Unmap {
        let ranges = [(last.offset(), RANGE)];
        let body = Body::remove_mapping(&ranges);
        begin(&mut clients[0], &Request::new(NodeId::default(), body))?;
        held.wait_until_reached()?;
    }
    for slot in (0..MANY).map(Slot) {
        let place = slot.0 as usize % clients.len();
        let body = Body::setup_mapping(FileOffset(0), RANGE, slot.offset(), true);
        begin(&mut clients[place], &Request::new(node, body))?;
    }
    held.wait_until_reached()?;
    let in_flight: usize = clients
        .iter_mut()
        .map(|one| one.pipeline().in_flight())
        .sum();
    ensure!(in_flight as u64 >= MANY, "{in_flight} in flight");
    println!("{REACHED}");
    std::io::stdout().flush()?;
    loop {
        std::thread::sleep(Duration::MAX);
    }
}

fn begin(client: &mut Client, request: &Request<'_>) -> Result<()> {
    client.pipeline().submit(request)?;
    Ok(client.pipeline().kick()?)
}
