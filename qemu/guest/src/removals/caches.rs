// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Inodes leave memory.

use std::fs;

use rustix::mount::{UnmountFlags, unmount};

use crate::worker::Fault;

pub(super) fn drop_caches() -> Result<(), Fault> {
    // 3: pages, and then dentries and inodes.
    fs::write("/proc/sys/vm/drop_caches", "3").map_err(Fault::of("dropping caches"))
}

pub(super) fn umount(target: &str) -> Result<(), Fault> {
    unmount(target, UnmountFlags::empty()).map_err(Fault::of(format!("unmounting {target}")))
}
