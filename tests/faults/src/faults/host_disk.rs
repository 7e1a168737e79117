// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The disk under the share can't be read, or can't be written.

use anyhow::{Result, ensure};
use virtiofs_driver::window::WindowError;

use crate::fault::{Fault, Setting};
use crate::host::Disk;
use crate::model::{FileId, Slot};
use crate::rig::{Rig, RigOptions, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::long("host_disk::blocks_that_can_t_be_read", not_readable),
    Fault::long("host_disk::blocks_that_can_t_be_written", not_writable),
];

/// Bytes of the file.
const SIZE: usize = 300_000;

fn on_disk(setting: &Setting) -> Result<(Rig, Disk)> {
    let disk = Disk::mount()?;
    Ok((Rig::start(setting, &RigOptions::on(disk.share()))?, disk))
}

fn write_out(rig: &Rig, disk: &Disk, file: FileId) -> Result<()> {
    disk.write_out(&rig.files.get(file).name)
}

/// A READ gets EIO, and a load gets SIGBUS. No failed read returns zeros, and all bytes are there
/// once the disk can be read.
fn not_readable(setting: &Setting) -> Result<()> {
    let (mut rig, disk) = on_disk(setting)?;
    let (read, mapped) = (rig.create(0, SIZE)?, rig.create(1, SIZE)?);
    write_out(&rig, &disk, read)?;
    write_out(&rig, &disk, mapped)?;
    disk.fail_reads();
    let model = rig.files.get(read).clone();
    let from = virtiofs_driver::FileOffset(0);
    let got = rig.clients[0].read_vec(model.node, model.handle, from, SIZE);
    expect_errno(got, libc::EIO, "READ of what can't be read")?;
    let loaded = rig.map(1, mapped, 0, Slot(1));
    let lost = loaded.as_ref().err().and_then(|error| error.downcast_ref());
    ensure!(
        matches!(lost, Some(WindowError::LostPage { .. })),
        "a page that can't be read was loaded: {loaded:?}"
    );
    disk.mend();
    rig.read(0, read, 0, SIZE)?;
    rig.load(Slot(1))?;
    rig.verify()?;
    rig.store(Slot(1), 200_000, 5000)?;
    rig.finish()?;
    gone(disk)
}

/// A WRITE to the page cache and a store are safe only after FSYNC has succeeded. Here FSYNC fails
/// with EIO. Bytes that are written again are there.
fn not_writable(setting: &Setting) -> Result<()> {
    let (mut rig, disk) = on_disk(setting)?;
    let (written, mapped) = (rig.create(0, SIZE)?, rig.create(1, SIZE)?);
    write_out(&rig, &disk, written)?;
    write_out(&rig, &disk, mapped)?;
    rig.map(1, mapped, 0, Slot(1))?;
    for file in [written, mapped] {
        disk.fail_writes();
        if file == written {
            rig.write(0, file, 100_000, b"by WRITE")?;
        } else {
            rig.store(Slot(1), 100_000, 8)?;
        }
        let model = rig.files.get(file).clone();
        let synced = rig.clients[0].fsync(model.node, model.handle, false);
        disk.mend();
        expect_errno(synced, libc::EIO, "FSYNC of what can't be written")?;
        // The guest has got the error, and writes the bytes again.
        let part = model.bytes[100_000..100_008].to_vec();
        rig.write(0, file, 100_000, &part)?;
        rig.clients[0].fsync(model.node, model.handle, false)?;
        rig.verify()?;
    }
    rig.unmap(0, Slot(1))?;
    for file in [written, mapped] {
        // The bytes are read from the disk, not from the page cache.
        write_out(&rig, &disk, file)?;
        rig.read(1, file, 0, SIZE)?;
    }
    rig.finish()?;
    gone(disk)
}

fn gone(disk: Disk) -> Result<()> {
    let folder = disk.folder().to_owned();
    drop(disk);
    crate::checks::gone::no_mount_is_left(&folder)
}
