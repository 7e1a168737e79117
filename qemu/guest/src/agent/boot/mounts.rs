// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file systems that every guest has.

use std::{ffi::CStr, fs, io};

use rustix::{
    io::Errno,
    mount::{MountFlags, mount},
};

struct Fixed {
    fstype: &'static str,
    target: &'static str,
    options: &'static CStr,
}

const FIXED: [Fixed; 6] = [
    fixed("proc", "/proc", c""),
    fixed("sysfs", "/sys", c""),
    fixed("devtmpfs", "/dev", c"mode=0755"),
    fixed("devpts", "/dev/pts", c"mode=0620,gid=5,ptmxmode=0666"),
    fixed("tmpfs", "/tmp", c"mode=1777"),
    fixed("tmpfs", "/run", c"mode=0755"),
];

/// Directories that commands expect.
const EXPECTED: [&str; 2] = ["/root", "/share"];

const fn fixed(fstype: &'static str, target: &'static str, options: &'static CStr) -> Fixed {
    Fixed {
        fstype,
        target,
        options,
    }
}

/// Mounts them all; returns a line for each that failed.
pub(super) fn mount_all() -> Vec<String> {
    let mut problems = Vec::new();
    for fixed in FIXED {
        if let Err(error) = mount_one(&fixed) {
            let Fixed { fstype, target, .. } = fixed;
            problems.push(format!("can't mount {fstype} on {target}: {error}"));
        }
    }
    for directory in EXPECTED {
        if let Err(error) = fs::create_dir_all(directory) {
            problems.push(format!("can't make {directory}: {error}"));
        }
    }
    problems
}

fn mount_one(fixed: &Fixed) -> io::Result<()> {
    fs::create_dir_all(fixed.target)?;
    let (fstype, target) = (fixed.fstype, fixed.target);
    match mount(fstype, target, fstype, MountFlags::empty(), fixed.options) {
        // The kernel has mounted its devtmpfs already (CONFIG_DEVTMPFS_MOUNT).
        Err(Errno::BUSY) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Whether this is one of the mounts made here, which hold no data.
pub(crate) fn is_fixed(target: &str) -> bool {
    FIXED.iter().any(|fixed| fixed.target == target)
}
