// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host has no space or no descriptors left.

use anyhow::{Context, Result, ensure};
use virtiofs_driver::window::WindowError;
use virtiofs_driver::{FileOffset, FuseError, NodeId, WindowOffset};

use crate::fault::{Fault, Setting};
use crate::host::Small;
use crate::model::Slot;
use crate::rig::{Rig, RigOptions, expect_errno, outcome};

/// Bytes of the file system that is filled.
const ROOM: u64 = 4 << 20;
const STEP: usize = 256 << 10;
/// The limit of the daemon's descriptors.
const DESCRIPTORS: usize = 1558;

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("host_full::no_room_for_a_write", no_room),
    Fault::new("host_full::no_room_for_a_store", no_room_for_a_store),
    Fault::new("host_full::no_descriptor_left", no_descriptor_left),
    Fault::new("host_full::no_region_left", no_region_left),
];

fn on_small(setting: &Setting) -> Result<(Rig, Small)> {
    let small = Small::mount(ROOM)?;
    Ok((Rig::start(setting, &RigOptions::on(small.share()))?, small))
}

/// The guest gets ENOSPC, and earlier bytes are still there.
fn no_room(setting: &Setting) -> Result<()> {
    let (mut rig, _small) = on_small(setting)?;
    let file = rig.create(0, 100_000)?;
    rig.map(0, file, 0, Slot(0))?;
    let content = rig.random(STEP);
    loop {
        let model = rig.files.get(file).clone();
        let at = FileOffset(model.bytes.len() as u64);
        let written = rig.clients[0].write_slice(model.node, model.handle, at, &content);
        match outcome(written)? {
            Ok(len) => rig
                .files
                .get_mut(file)
                .put(at.0 as usize, &content[..len as usize]),
            Err(errno) => {
                ensure!(errno == libc::ENOSPC, "a full disk is {errno}");
                break;
            }
        }
        ensure!(at.0 < ROOM, "the disk never gets full");
    }
    let model = rig.files.get(file).clone();
    let (node, handle) = (model.node, model.handle);
    let more = rig.clients[1].fallocate(node, handle, 0, FileOffset(ROOM), ROOM);
    expect_errno(more, libc::ENOSPC, "FALLOCATE on a full disk")?;
    rig.verify()?;
    rig.truncate(0, file, 100_000)?;
    rig.write(1, file, 100_000, &content)?;
    rig.finish()
}

/// A store into a hole of a file finds no space: SIGBUS in QEMU. The store works once there is
/// space.
fn no_room_for_a_store(setting: &Setting) -> Result<()> {
    let (mut rig, _small) = on_small(setting)?;
    let sparse = rig.create_empty(0)?;
    rig.truncate(0, sparse, ROOM as usize)?;
    let big = rig.create(0, ROOM as usize - 2 * STEP)?;
    let hole = rig.files.get(sparse).node;
    let at = Slot(1).offset();
    rig.clients[0].setup_mapping(hole, FileOffset(0), 2 << 20, at, true)?;
    let content = rig.random(STEP);
    let stored = (0..8).try_for_each(|part| {
        let at = WindowOffset(at.0 + part * STEP as u64);
        rig.window.write(at, &content)
    });
    ensure!(
        matches!(stored, Err(WindowError::LostPage { .. })),
        "{stored:?}"
    );
    rig.remove(1, big)?;
    for part in 0..8 {
        let at = WindowOffset(at.0 + part * STEP as u64);
        rig.window.write(at, &content)?;
        rig.files
            .get_mut(sparse)
            .put(part as usize * STEP, &content);
    }
    let file = sparse;
    let from = FileOffset(0);
    let shown = crate::model::Shown { file, from };
    rig.shown.0.insert(Slot(1), shown);
    rig.finish()
}

/// The guest gets EMFILE for each request that needs a descriptor. All requests work after some
/// descriptors were closed.
fn no_descriptor_left(setting: &Setting) -> Result<()> {
    let limit = format!("--rlimit-nofile={DESCRIPTORS}");
    let mut rig = Rig::start(setting, &RigOptions::default().arg(limit))?;
    let (mapped, later) = (rig.create(0, 50_000)?, rig.create(0, 50_000)?);
    rig.map(0, mapped, 0, Slot(1))?;
    let node = rig.files.get(later).node;
    let mut open = Vec::new();
    loop {
        match outcome(rig.clients[1].open(node, libc::O_RDWR))? {
            Ok(opened) => open.push(virtiofs_driver::Handle(opened.fh)),
            Err(errno) => {
                ensure!(is_lack(errno), "no descriptor left is {errno}");
                break;
            }
        }
        ensure!(open.len() < DESCRIPTORS, "there are more than there can be");
    }
    let name = "never-made";
    let made = rig.clients[0].create(NodeId::ROOT, name, libc::O_RDWR, 0o600);
    let errno = outcome(made)?.err().context("made without a descriptor")?;
    ensure!(is_lack(errno), "CREATE without a descriptor is {errno}");
    let asked = rig.ask_map(0, later, 0, Slot(2));
    expect_errno(
        asked,
        libc::EIO,
        "a map of a file that was not mapped before",
    )?;
    // Open files still work, and so do files with a view.
    rig.map(1, mapped, 0, Slot(3))?;
    rig.write(0, mapped, 30_000, b"still here")?;
    rig.read(1, mapped, 0, 50_000)?;
    rig.load(Slot(1))?;
    let released: Result<(), FuseError> = open
        .into_iter()
        .try_for_each(|handle| rig.clients[0].release(node, handle));
    released?;
    rig.map(0, later, 0, Slot(2))?;
    rig.finish()
}

fn is_lack(errno: i32) -> bool {
    matches!(errno, libc::EMFILE | libc::ENFILE)
}

/// The guest gets ENOBUFS before QEMU would abort. After one mapping was removed, another one
/// works.
fn no_region_left(setting: &Setting) -> Result<()> {
    let slots = 1024;
    let options = RigOptions {
        slots,
        // Without this option QEMU has no table that could get full.
        mem_slots: true,
        ..RigOptions::default()
    };
    let mut rig = Rig::start(setting, &options)?;
    let file = rig.create(0, 50_000)?;
    let mut full = None;
    for slot in (0..slots).map(Slot) {
        match outcome(rig.ask_map(0, file, 0, slot))? {
            Ok(()) => {
                let from = FileOffset(0);
                let shown = crate::model::Shown { file, from };
                rig.shown.0.insert(slot, shown);
            }
            Err(errno) => {
                ensure!(errno == libc::ENOBUFS, "no region left is {errno}");
                full = Some(slot);
                break;
            }
        }
    }
    let full = full.context("there is no end to regions")?;
    rig.unmap(1, Slot(0))?;
    rig.map(1, file, 0, full)?;
    rig.finish()
}
