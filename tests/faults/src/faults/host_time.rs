// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether the host can tell from a file's time that the guest has stored into the file.

use std::fs;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use virtiofs_driver::fuse::{SetattrIn, SetattrValid};
use virtiofs_driver::{FuseError, Handle, NodeId};

use crate::fault::{Fault, Setting};
use crate::model::{FileId, Slot};
use crate::rig::{Rig, RigOptions};

/// A time long ago.
const OLD: Duration = Duration::from_secs(1_000_000_000);

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("host_time::stores_move_it", stores_move_it),
    Fault::new(
        "host_time::a_time_that_the_guest_has_set_stays",
        a_set_time_stays,
    ),
];

/// Sets a file's time on the host, and returns whether the guest's request changes it.
fn moves(
    rig: &mut Rig,
    file: FileId,
    ask: impl FnOnce(&mut Rig, NodeId, Handle) -> Result<(), FuseError>,
) -> Result<bool> {
    let model = rig.files.get(file).clone();
    let path = rig.daemon.share().join(&model.name);
    let old = SystemTime::UNIX_EPOCH + OLD;
    fs::File::open(&path)?.set_modified(old)?;
    ask(rig, model.node, model.handle)?;
    Ok(path.metadata()?.modified()? != old)
}

fn flush(rig: &mut Rig, node: NodeId, handle: Handle) -> Result<(), FuseError> {
    rig.clients[0].flush(node, handle)
}

fn fsync(rig: &mut Rig, node: NodeId, handle: Handle) -> Result<(), FuseError> {
    rig.clients[0].fsync(node, handle, false)
}

/// Each store counts, although only the first one in a range makes a request.
fn stores_move_it(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let (file, other) = (rig.create(0, 100_000)?, rig.create(0, 100_000)?);
    ensure!(!moves(&mut rig, file, flush)?, "nothing was mapped");
    rig.map(0, file, 0, Slot(1))?;
    for _ in 0..2 {
        rig.store(Slot(1), 1000, 9000)?;
        ensure!(moves(&mut rig, file, flush)?, "FLUSH after a store");
        rig.store(Slot(1), 2000, 9000)?;
        ensure!(moves(&mut rig, file, fsync)?, "FSYNC after a store");
    }
    ensure!(!moves(&mut rig, other, flush)?, "another file");
    let reads = |rig: &mut Rig, node, _| {
        let handle = Handle(rig.clients[0].open(node, libc::O_RDONLY)?.fh);
        rig.clients[0].flush(node, handle)?;
        rig.clients[0].release(node, handle)
    };
    ensure!(!moves(&mut rig, file, reads)?, "a handle for reading");
    // A RELEASE right after FLUSH changes no time: a program may have read the time in between.
    rig.clients[0].flush(rig.files.get(file).node, rig.files.get(file).handle)?;
    let writes = |rig: &mut Rig, node, _| {
        let handle = Handle(rig.clients[0].open(node, libc::O_RDWR)?.fh);
        rig.clients[0].release(node, handle)
    };
    ensure!(!moves(&mut rig, file, writes)?, "RELEASE after FLUSH");
    rig.store(Slot(1), 3000, 9000)?;
    rig.unmap(0, Slot(1))?;
    ensure!(moves(&mut rig, file, flush)?, "stores before a removal");
    ensure!(!moves(&mut rig, file, flush)?, "nothing is mapped any more");
    rig.finish()
}

/// `cp -p`, tar and rsync set the time before or after they close the file.
fn a_set_time_stays(setting: &Setting) -> Result<()> {
    let (mut rig, file) = Rig::mapped(setting)?;
    rig.store(Slot(1), 1000, 9000)?;
    let wanted = OLD + Duration::from_secs(5);
    let set = SetattrIn {
        valid: SetattrValid::MTIME.bits(),
        mtime: wanted.as_secs(),
        ..SetattrIn::default()
    };
    let model = rig.files.get(file).clone();
    let path = rig.daemon.share().join(&model.name);
    rig.clients[0].setattr(model.node, set)?;
    rig.clients[0].flush(model.node, model.handle)?;
    let late = rig.clients[0].open(model.node, libc::O_RDWR)?.fh;
    let stays = path.metadata()?.modified()? == SystemTime::UNIX_EPOCH + wanted;
    ensure!(stays, "FLUSH moved a time that the guest has set");
    rig.clients[0].setattr(model.node, set)?;
    rig.clients[0].release(model.node, Handle(late))?;
    let stays = path.metadata()?.modified()? == SystemTime::UNIX_EPOCH + wanted;
    ensure!(stays, "RELEASE moved a time that the guest has set");
    // A later opener may store into existing mappings.
    let later = |rig: &mut Rig, node, _| {
        let handle = Handle(rig.clients[0].open(node, libc::O_RDWR)?.fh);
        rig.clients[0].flush(node, handle)?;
        rig.clients[0].release(node, handle)
    };
    ensure!(moves(&mut rig, file, later)?, "a store by a later handle");
    rig.finish()
}
