// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is known of a device's files once one of them could be mapped.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::thread::CapabilitySet;

/// A device as it is mounted somewhere. Both matter: the file system type decides whether views
/// work, the mount whether files can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MountedDevice {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) mount: u64,
}

/// Which files of a device can be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mappable {
    /// None.
    Nothing,
    /// All that are not frozen: nobody refuses this process to write.
    Everything,
    /// Those that can be opened for writing, which only an attempt tells.
    WhatOpens,
}

/// File systems of this host alone, by the magic numbers of `linux/magic.h`. On any other one a
/// server may refuse what the capability allows here, as NFS does by root_squash.
const LOCAL: [u64; 6] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0x0102_1994, // tmpfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
];

impl Mappable {
    /// What to think of the device of `file`, a view of which could be mapped.
    pub(super) fn like(file: BorrowedFd<'_>) -> io::Result<Self> {
        let held = rustix::thread::capabilities(None)?.effective;
        let file_system = rustix::fs::fstatfs(file)?.f_type as u64;
        let all = held.contains(CapabilitySet::DAC_OVERRIDE) && LOCAL.contains(&file_system);
        Ok(if all {
            Self::Everything
        } else {
            Self::WhatOpens
        })
    }
}

/// Where a file lies, and whether it is frozen: nobody at all can write it.
pub(super) fn place(file: BorrowedFd<'_>) -> io::Result<(MountedDevice, bool)> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted)?;
    let device = MountedDevice {
        major: stat.stx_dev_major,
        minor: stat.stx_dev_minor,
        mount: stat.stx_mnt_id,
    };
    let frozen = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND | StatxAttributes::VERITY;
    Ok((device, stat.stx_attributes.intersects(frozen)))
}
