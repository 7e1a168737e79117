// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The state of a device's files, and a file's place, attributes and permissions.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use shared_window::Access;

/// A device and one of its mounts. Both matter: the file system type decides whether views work,
/// the mount decides whether files can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MountedDevice {
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) mount: u64,
}

/// Which mappings of a device's files have been tried, and with what result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mappable {
    /// A view cannot be mapped.
    No,
    /// A view for reading could be mapped. No view was opened for writing yet.
    ForReading,
    /// A view for reading and writing could be mapped.
    ForWriting,
}

/// Properties of a file that are known without opening it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The device that has the file.
    pub(super) device: MountedDevice,
    /// The file's inode number on that device.
    pub(super) inode: u64,
    /// How this process may access the file, if at all.
    pub(super) access: Option<Access>,
    /// Whether the file has an execute permission. While the file executes on the host it can't be
    /// opened for writing, and only an attempt shows that.
    pub(super) executable: bool,
}

/// The execute permissions in a file's mode.
pub(super) const ANY_MAY_EXECUTE: u32 = 0o111;

/// Determines a file's device, and whether this process may read and write the file.
///
/// `file` may be open with `O_PATH`. This disturbs neither the file nor processes that watch it. An
/// open for writing would copy the file up on overlayfs, recall delegations, wait for leases, and
/// look like a modification to a watcher.
pub(super) fn place(file: BorrowedFd<'_>) -> io::Result<Place> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted)?;
    let device = MountedDevice {
        major: stat.stx_dev_major,
        minor: stat.stx_dev_minor,
        mount: stat.stx_mnt_id,
    };
    let frozen = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND | StatxAttributes::VERITY;
    let frozen = stat.stx_attributes.intersects(frozen);
    let access = if !frozen && may(file, libc::R_OK | libc::W_OK) {
        Some(Access::ReadWrite)
    } else {
        may(file, libc::R_OK).then_some(Access::ReadOnly)
    };
    Ok(Place {
        device,
        inode: stat.stx_ino,
        access,
        executable: u32::from(stat.stx_mode) & ANY_MAY_EXECUTE != 0,
    })
}

/// Whether this process has `access`. The kernel's answer includes read-only mounts, capabilities,
/// and servers that squash root.
fn may(file: BorrowedFd<'_>, access: libc::c_int) -> bool {
    // SAFETY: the path is a NUL-terminated string, and the kernel writes to no memory of ours.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            file.as_raw_fd(),
            c"".as_ptr(),
            access,
            libc::AT_EMPTY_PATH | libc::AT_EACCESS,
        )
    };
    answer == 0
}
