// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file loses its name, or its DAX flag.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::{io, mem, ptr};

use crate::worker::{HandleTable, Fault};
use crate::files::kept_or_open;

pub(super) fn unlink(path: &str) -> Result<(), Fault> {
    fs::remove_file(path).map_err(Fault::of(format!("unlinking {path}")))
}

pub(super) fn rename_over(path: &str, from: &str) -> Result<(), Fault> {
    fs::rename(from, path).map_err(Fault::of(format!("renaming {from} to {path}")))
}

/// struct fsxattr of linux/fs.h.
#[repr(C)]
struct FsXattr {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    pad: [u8; 8],
}

/// _IOR('X', 31, struct fsxattr) and _IOW('X', 32, struct fsxattr)
const FS_IOC_FSGETXATTR: libc::Ioctl = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::Ioctl = 0x401c_5820;
const FS_XFLAG_DAX: u32 = 0x8000;

pub(super) fn set_dax(handles: &HandleTable, path: &str, on: bool) -> Result<(), Fault> {
    let failed = || format!("changing the DAX flag of {path}");
    let file = kept_or_open(handles, path)?;
    // SAFETY: plain integers.
    let mut attributes: FsXattr = unsafe { mem::zeroed() };
    let structure = ptr::from_mut(&mut attributes);
    // SAFETY: the kernel fills the structure of this ioctl.
    let got = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSGETXATTR, structure) };
    if got < 0 {
        return Err(Fault::of(failed())(io::Error::last_os_error()));
    }
    if on {
        attributes.flags |= FS_XFLAG_DAX;
    } else {
        attributes.flags &= !FS_XFLAG_DAX;
    }
    let structure = ptr::from_mut(&mut attributes);
    // SAFETY: the kernel reads the structure of this ioctl.
    let set = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSSETXATTR, structure) };
    if set < 0 {
        return Err(Fault::of(failed())(io::Error::last_os_error()));
    }
    Ok(())
}
