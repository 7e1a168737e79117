// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file gets shorter, loses its name or its DAX flag, or its inode leaves memory.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::{io, mem, ptr};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::mount::{UnmountFlags, unmount};

use crate::files::kept_or_open;
use crate::worker::{Fault, HandleTable};

pub(super) fn truncate(path: &str, len: u64) -> Result<(), Fault> {
    let failed = || format!("truncating {path} to {len}");
    // truncate(2) and not ftruncate(2): in FUSE an open file changes what is sent.
    let path =
        std::ffi::CString::new(path).map_err(|error| Fault::new(failed(), error.to_string()))?;
    // SAFETY: a string that ends with a NUL.
    match unsafe { libc::truncate(path.as_ptr(), len.cast_signed()) } {
        0 => Ok(()),
        _ => Err(Fault::of(failed())(io::Error::last_os_error())),
    }
}

pub(super) fn open_truncate(path: &str, create: bool) -> Result<(), Fault> {
    let opened = File::options()
        .write(true)
        .truncate(true)
        .create(create)
        .open(path);
    opened
        .map(drop)
        .map_err(Fault::of(format!("opening {path} with O_TRUNC")))
}

pub(super) fn stat(path: &str) -> Result<(), Fault> {
    let seen = statx(
        CWD,
        path,
        AtFlags::STATX_FORCE_SYNC,
        StatxFlags::BASIC_STATS,
    );
    seen.map(drop).map_err(Fault::of(format!("stat {path}")))
}

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

pub(super) fn drop_caches() -> Result<(), Fault> {
    // 3: pages, and then dentries and inodes.
    fs::write("/proc/sys/vm/drop_caches", "3").map_err(Fault::of("dropping caches"))
}

pub(super) fn umount(target: &str) -> Result<(), Fault> {
    unmount(target, UnmountFlags::empty()).map_err(Fault::of(format!("unmounting {target}")))
}
