// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Blocks that a file system keeps free for itself. While it has some, a block that has just been
//! freed may become one of those, which no file gets.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::ptr;

use rustix::fs::{fstat, major, minor};

/// struct xfs_fsop_resblks of xfs_fs.h.
#[repr(C)]
struct Blocks {
    wanted: u64,
    available: u64,
}

/// _IOWR('X', 114, struct xfs_fsop_resblks)
const XFS_IOC_SET_RESBLKS: libc::Ioctl = 0xc010_5872;

/// Lets the file system of `file` reserve no blocks, if it does: ext4 has a setting in sysfs, xfs
/// an ioctl(2).
///
/// # Errors
///
/// The kernel's error. A file system without such a reserve is no error.
pub(super) fn give_up(file: &File) -> io::Result<()> {
    let device = fstat(file)?.st_dev;
    let link = format!("/sys/dev/block/{}:{}", major(device), minor(device));
    if let Ok(link) = fs::read_link(link) {
        let name = link.file_name().unwrap_or_default().display();
        match fs::write(format!("/sys/fs/ext4/{name}/reserved_clusters"), "0") {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut blocks = Blocks {
        wanted: 0,
        available: 0,
    };
    // SAFETY: the kernel reads and writes the structure of this ioctl.
    let asked = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            XFS_IOC_SET_RESBLKS,
            ptr::from_mut(&mut blocks),
        )
    };
    match (asked, io::Error::last_os_error()) {
        (0, _) => Ok(()),
        (_, error) if error.raw_os_error() == Some(libc::ENOTTY) => Ok(()),
        (_, error) => Err(error),
    }
}
