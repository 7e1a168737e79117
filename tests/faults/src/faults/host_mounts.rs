// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Mounts below the share.

use std::fs;

use anyhow::{Result, ensure};
use virtiofs_driver::{FileOffset, Handle, NodeId};

use crate::fault::{Fault, Setting};
use crate::host::Mounted;
use crate::rig::{self, RigOptions};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new(
        "host_mounts::a_name_with_a_space_below_a_namespace",
        |setting| a_name_with_a_space(setting, "namespace"),
    ),
    Fault::new(
        "host_mounts::a_name_with_a_space_below_a_chroot",
        |setting| a_name_with_a_space(setting, "chroot"),
    ),
    Fault::new(
        "host_mounts::a_name_with_a_space_without_a_sandbox",
        |setting| a_name_with_a_space(setting, "none"),
    ),
];

/// The mount and its content are found, and the listing of its parent has all names.
fn a_name_with_a_space(setting: &Setting, sandbox: &str) -> Result<()> {
    let share = tempfile::tempdir()?;
    let names = ["a mount\tpoint", "before", "other", "with\\backslash"];
    for name in names {
        fs::create_dir(share.path().join(name))?;
    }
    let mounted = [names[0], names[3]].map(|name| {
        let point = share.path().join(name);
        let mounted = Mounted::new("tmpfs", point.clone(), "")?;
        fs::write(point.join("file"), name)?;
        anyhow::Ok(mounted)
    });
    let mounted = mounted.into_iter().collect::<Result<Vec<_>>>()?;
    let options = RigOptions::on(share.path());
    let options = options.arg(format!("--sandbox={sandbox}"));
    let daemon = rig::daemon(setting, &options)?;
    let (mut client, vm) = rig::guest(&daemon, &options)?;
    for name in [names[0], names[3]] {
        let point = client.node(name)?;
        let file = NodeId(client.lookup(point, "file")?.nodeid);
        let handle = Handle(client.open(file, libc::O_RDONLY)?.fh);
        let read = client.read_vec(file, handle, FileOffset(0), 100)?;
        ensure!(read == name.as_bytes(), "{read:?} in {name:?}");
    }
    let directory = Handle(client.opendir(NodeId::ROOT)?.fh);
    let listed = client.readdirplus(NodeId::ROOT, directory, FileOffset(0), 4096)?;
    let mut listed: Vec<_> = listed
        .into_iter()
        .map(|entry| String::from_utf8_lossy(&entry.name).into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    listed.sort();
    ensure!(listed == names, "listed: {listed:?}");
    drop((client, vm, daemon, mounted));
    Ok(())
}
