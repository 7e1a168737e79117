// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file system under the share fails, is slow, or is full.

use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::{FileOffset, FuseError, NodeId};

use super::host_slow;
use crate::fault::{Fault, Setting};
use crate::host::{Behaviour, Layer, Operation};
use crate::model::{FileId, Slot};
use crate::rig::{Rig, RigOptions, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("host_fs::eio_reaches_the_guest", |setting| {
        reaches_the_guest(setting, libc::EIO)
    }),
    Fault::new("host_fs::estale_reaches_the_guest", |setting| {
        reaches_the_guest(setting, libc::ESTALE)
    }),
    Fault::new("host_fs::enospc_reaches_the_guest", |setting| {
        reaches_the_guest(setting, libc::ENOSPC)
    }),
    Fault::new("host_fs::edquot_reaches_the_guest", |setting| {
        reaches_the_guest(setting, libc::EDQUOT)
    }),
    Fault::new(
        "host_fs::a_file_that_can_t_be_opened_is_not_mapped",
        not_mapped,
    ),
    Fault::new("host_fs::a_page_that_can_t_be_read", lost_page),
    Fault::new("host_fs::files_have_one_number", one_number),
    Fault::new("host_fs::a_read_is_slow", host_slow::a_read_is_slow),
    Fault::new(
        "host_fs::a_request_that_sleeps_holds_up_no_other",
        host_slow::others_are_served,
    ),
    Fault::new(
        "host_fs::an_open_for_the_window_hangs",
        host_slow::an_open_hangs,
    ),
    Fault::new("host_fs::everything_is_slow", host_slow::everything_is_slow),
];

/// A rig whose share is on a layer.
pub(super) fn on_layer(setting: &Setting) -> Result<(Rig, Layer)> {
    let layer = Layer::mount()?;
    Ok((Rig::start(setting, &RigOptions::on(layer.share()))?, layer))
}

/// Makes the guest's request that causes this operation on the host.
pub fn ask(rig: &mut Rig, operation: Operation, id: FileId) -> Result<(), FuseError> {
    let file = rig.files.get(id).clone();
    let (node, handle) = (file.node, file.handle);
    let client = &mut rig.clients[0];
    match operation {
        Operation::Lookup => client.lookup(NodeId::ROOT, &file.name).map(drop),
        Operation::Getattr => client.getattr(node, None).map(drop),
        Operation::Setattr => client.truncate(node, Some(handle), FileOffset(7)).map(drop),
        Operation::Open => client.open(node, libc::O_RDWR).map(drop),
        Operation::Create => {
            let name = "never-made";
            client
                .create(NodeId::ROOT, name, libc::O_RDWR, 0o600)
                .map(drop)
        }
        Operation::Read => {
            let read = client.read_vec(node, handle, FileOffset(0), 5000);
            read.map(drop)
        }
        Operation::Write => {
            let written = client.write_slice(node, handle, FileOffset(100), b"never written");
            written.map(drop)
        }
        Operation::Flush => client.flush(node, handle),
        Operation::Fsync => client.fsync(node, handle, false),
        Operation::Fallocate => client.fallocate(node, handle, 0, FileOffset(0), 1 << 20),
        Operation::Unlink => client.unlink(NodeId::ROOT, &file.name),
    }
}

fn reaches_the_guest(setting: &Setting, errno: i32) -> Result<()> {
    let (mut rig, layer) = on_layer(setting)?;
    let id = rig.create(0, 100_000)?;
    let other = rig.create(1, 50_000)?;
    rig.map(0, id, 0, Slot(2))?;
    for operation in Operation::ALL {
        // The page cache would answer in place of the file system. A new open drops the cached
        // pages.
        rig.reopen(0, id)?;
        layer.set(operation, Behaviour::Fail(errno));
        let asked = ask(&mut rig, operation, id);
        let checked = expect_errno(asked, errno, &format!("{operation:?}"));
        layer.clear();
        checked?;
        rig.reopen(1, id)?;
        rig.read(0, id, 0, 100_000)
            .with_context(|| format!("after {operation:?}"))?;
        rig.read(1, other, 0, 50_000)?;
        rig.verify()
            .with_context(|| format!("after {operation:?}"))?;
    }
    let made = rig.clients[0].lookup(NodeId::ROOT, "never-made");
    expect_errno(made, libc::ENOENT, "a file that was not made")?;
    rig.finish()
}

fn not_mapped(setting: &Setting) -> Result<()> {
    let (mut rig, layer) = on_layer(setting)?;
    for (on_host, in_guest) in [
        (libc::EACCES, libc::EACCES),
        (libc::EROFS, libc::EACCES),
        (libc::ETXTBSY, libc::EACCES),
        (libc::EIO, libc::EIO),
        (libc::ESTALE, libc::EIO),
        (libc::ENFILE, libc::EIO),
        (libc::ENOSPC, libc::EIO),
    ] {
        let file = rig.create(0, 20_000)?;
        layer.set(Operation::Open, Behaviour::Fail(on_host));
        let asked = rig.ask_map(0, file, 0, Slot(1));
        layer.clear();
        expect_errno(asked, in_guest, &format!("a map when open is {on_host}"))?;
        rig.verify()?;
        rig.map(1, file, 0, Slot(1))?;
        rig.store(Slot(1), 10, 5000)?;
        rig.remove(0, file)?;
    }
    rig.finish()
}

/// A union of file systems shows one inode number for several files. The guest reads and writes the
/// file that it names.
fn one_number(setting: &Setting) -> Result<()> {
    let layer = Layer::mount_alike()?;
    let mut rig = Rig::start(setting, &RigOptions::on(layer.share()))?;
    let (one, other) = (rig.create(0, 20_000)?, rig.create(1, 20_000)?);
    let number = |rig: &Rig, id| -> Result<u64> {
        let path = layer.share().join(&rig.files.get(id).name);
        Ok(path.metadata()?.ino())
    };
    let (first, second) = (number(&rig, one)?, number(&rig, other)?);
    ensure!(first == second, "the numbers are {first} and {second}");
    ensure!(
        rig.files.get(one).node != rig.files.get(other).node,
        "virtiofsd's file system takes them for one file"
    );
    rig.map(0, one, 0, Slot(1))?;
    rig.map(1, other, 0, Slot(2))?;
    for (slot, at) in [(1, 100), (2, 7000)] {
        rig.store(Slot(slot), at, 5000)?;
    }
    rig.verify()?;
    // The same range is mapped again, as Linux does after a removal that failed.
    rig.map(0, other, 0, Slot(1))?;
    rig.store(Slot(1), 15_000, 5000)?;
    rig.finish()
}

/// A load from a page that can't be read fails, which would end QEMU. Once the page can be read, it
/// is there again.
fn lost_page(setting: &Setting) -> Result<()> {
    let (mut rig, layer) = on_layer(setting)?;
    let file = rig.create(0, 100_000)?;
    rig.reopen(0, file)?;
    rig.map(0, file, 0, Slot(1))?;
    rig.reopen(0, file)?;
    layer.set(Operation::Read, Behaviour::Fail(libc::EIO));
    let loaded = rig.load(Slot(1));
    layer.clear();
    ensure!(loaded.is_err(), "a page that can't be read was loaded");
    rig.load(Slot(1))?;
    rig.store(Slot(1), 70_000, 5000)?;
    rig.finish()
}
