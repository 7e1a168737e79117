// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A program's privileges, once the guest can store into the file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Result, ensure};
use rustix::fs::XattrFlags;
use virtiofs_driver::FileOffset;

use crate::fault::{Fault, Setting};
use crate::model::Slot;
use crate::rig::{Rig, RigOptions};

const CAPABILITIES: &str = "security.capability";
/// cap_net_raw, permitted and effective (`struct vfs_cap_data`, version 2).
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new(
        "host_privileges::set_user_id_goes_with_a_store",
        set_user_id_goes,
    ),
    Fault::new(
        "host_privileges::capabilities_go_with_a_store",
        capabilities_go,
    ),
];

/// A program is mapped for reading, and then for writing. `kept` checks whether it still has its
/// privileges.
fn goes(
    setting: &Setting,
    give: impl Fn(&Path) -> Result<()>,
    kept: impl Fn(&Path) -> Result<bool>,
) -> Result<()> {
    for kills in [true, false] {
        let mut options = RigOptions::default().arg("--dax=always");
        if kills {
            options = options.arg("--killpriv-v2");
        }
        let mut rig = Rig::start(setting, &options)?;
        let path = rig.daemon.share().join("program");
        fs::write(&path, vec![7; 300_000])?;
        give(&path)?;
        let node = rig.clients[0].node("program")?;
        let at = Slot(1).offset();
        let mut map = |write| rig.clients[0].setup_mapping(node, FileOffset(0), 2 << 20, at, write);
        map(false)?;
        ensure!(kept(&path)?, "gone although nothing can be stored");
        map(true)?;
        // Without the option the guest's kernel removes the privileges.
        ensure!(kept(&path)? != kills, "--killpriv-v2 {kills}");
        let owner = path.metadata()?;
        ensure!((owner.uid(), owner.gid()) == (1, 2), "another owner");
        rig.clients[0].destroy()?;
    }
    Ok(())
}

fn set_user_id_goes(setting: &Setting) -> Result<()> {
    let give = |path: &Path| {
        std::os::unix::fs::chown(path, Some(1), Some(2))?;
        Ok(fs::set_permissions(
            path,
            fs::Permissions::from_mode(0o6755),
        )?)
    };
    goes(setting, give, |path| {
        Ok(path.metadata()?.mode() & 0o6000 != 0)
    })
}

fn capabilities_go(setting: &Setting) -> Result<()> {
    let give = |path: &Path| {
        std::os::unix::fs::chown(path, Some(1), Some(2))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        rustix::fs::setxattr(path, CAPABILITIES, &NET_RAW, XattrFlags::empty())?;
        Ok(())
    };
    goes(setting, give, |path| {
        let mut value = [0; 64];
        match rustix::fs::getxattr(path, CAPABILITIES, &mut value) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NODATA) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
}
