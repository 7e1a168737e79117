// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The blocks of files that were mapped and then removed.

use std::fs;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::{FileOffset, Handle, NodeId};

use crate::checks::tables;
use crate::fault::{Fault, Setting};
use crate::host::Small;
use crate::model::{RANGE, Slot};
use crate::rig::{Rig, RigOptions};

/// Bytes of the file system, and of a file of more than half that size.
const ROOM: u64 = 8 << 20;
const MOST: u64 = 5 << 20;
const STEP: usize = 256 << 10;

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("host_space::of_a_file_removed_on_the_host", |setting| {
        is_given_back(setting, |rig, name| {
            Ok(fs::remove_file(rig.daemon.share().join(name))?)
        })
    }),
    Fault::new("host_space::of_a_file_removed_by_the_guest", |setting| {
        is_given_back(setting, |rig, name| {
            Ok(rig.clients[0].unlink(NodeId::ROOT, name)?)
        })
    }),
    Fault::new("host_space::of_a_file_replaced_on_the_host", |setting| {
        is_given_back(setting, |rig, name| {
            let other = rig.daemon.share().join("other");
            fs::write(&other, "")?;
            Ok(fs::rename(other, rig.daemon.share().join(name))?)
        })
    }),
];

/// Writes a file that fills most of the disk, by WRITE and by FALLOCATE.
fn fill(rig: &mut Rig, name: &str) -> Result<(NodeId, Handle)> {
    let client = &mut rig.clients[0];
    let (entry, open) = client.create(NodeId::ROOT, name, libc::O_RDWR, 0o644)?;
    let (node, handle) = (NodeId(entry.nodeid), Handle(open.fh));
    let half = MOST / 2;
    for at in (0..half).step_by(STEP) {
        let mut written = 0;
        while written < STEP {
            let offset = FileOffset(at + written as u64);
            let rest = vec![7; STEP - written];
            written += client.write_slice(node, handle, offset, &rest)? as usize;
        }
    }
    client.fallocate(node, handle, 0, FileOffset(half), half)?;
    Ok((node, handle))
}

/// The daemon holds a view of the removed file, and the guest still knows its node.
fn is_given_back(setting: &Setting, remove: impl Fn(&mut Rig, &str) -> Result<()>) -> Result<()> {
    let small = Small::mount(ROOM)?;
    let mut rig = Rig::start(setting, &RigOptions::on(small.share()))?;
    for number in 0..3 {
        let name = format!("file{number}");
        let (node, handle) = fill(&mut rig, &name).with_context(|| format!("write {name}"))?;
        let at = Slot(1).offset();
        let client = &mut rig.clients[0];
        client.setup_mapping(node, FileOffset(0), RANGE, at, true)?;
        client.remove_mapping(node, &[(at, RANGE)])?;
        tables::settled(&rig.window)?;
        rig.clients[0].release(node, handle)?;
        remove(&mut rig, &name)?;
    }
    let left = rig.clients[0].lookup(NodeId::ROOT, "file0");
    if let Ok(left) = left {
        ensure!(left.attr.size == 0, "it was not removed");
    }
    rig.clients[0].destroy()?;
    Ok(())
}
