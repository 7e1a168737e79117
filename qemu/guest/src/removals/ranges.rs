// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A range of a file gets other blocks, or none.

use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::{io, mem, ptr};

use rustix::fs::FallocateFlags;
use rustix::param::page_size;
use serde::{Deserialize, Serialize};

use crate::files::{MapKind, Mapping, kept_or_open};
use crate::worker::{Fault, HandleTable};

/// What fallocate(2) does with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeMode {
    /// Reserves it.
    Reserve,
    /// Makes a hole of it.
    Punch,
    /// Makes zeros of it.
    Zero,
    /// Takes it out of the file.
    Collapse,
    /// Puts a hole before it.
    Insert,
}

impl RangeMode {
    fn flags(self) -> FallocateFlags {
        match self {
            Self::Reserve => FallocateFlags::empty(),
            Self::Punch => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            Self::Zero => FallocateFlags::ZERO_RANGE,
            Self::Collapse => FallocateFlags::COLLAPSE_RANGE,
            Self::Insert => FallocateFlags::INSERT_RANGE,
        }
    }
}

pub(super) fn fallocate(
    handles: &HandleTable,
    path: &str,
    mode: RangeMode,
    offset: u64,
    len: u64,
) -> Result<(), Fault> {
    let file = kept_or_open(handles, path)?;
    let done = rustix::fs::fallocate(&*file, mode.flags(), offset, len);
    done.map_err(Fault::of(format!("fallocate {mode:?} of {path}")))
}

/// struct file_clone_range of linux/fs.h.
#[repr(C)]
struct CloneRange {
    from: i64,
    from_offset: u64,
    len: u64,
    to_offset: u64,
}

/// _IOW(0x94, 13, struct file_clone_range)
const FICLONERANGE: libc::Ioctl = 0x4020_940d;

pub(super) fn clone(
    handles: &HandleTable,
    path: &str,
    from: &str,
    offset: u64,
    len: u64,
) -> Result<(), Fault> {
    let (file, from) = (kept_or_open(handles, path)?, kept_or_open(handles, from)?);
    let mut range = CloneRange {
        from: from.as_raw_fd().into(),
        from_offset: offset,
        len,
        to_offset: offset,
    };
    // SAFETY: the kernel reads the structure of this ioctl.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), FICLONERANGE, ptr::from_mut(&mut range)) };
    checked(done, || format!("cloning a range over {path}"))
}

/// struct xfs_exchange_range of Linux's fs/xfs/libxfs/xfs_fs.h.
#[repr(C)]
struct ExchangeRange {
    from: i32,
    pad: u32,
    from_offset: u64,
    to_offset: u64,
    len: u64,
    flags: u64,
}

/// _IOW('X', 129, struct xfs_exchange_range)
const XFS_IOC_EXCHANGE_RANGE: libc::Ioctl = 0x4028_5881;

pub(super) fn exchange(
    handles: &HandleTable,
    path: &str,
    from: &str,
    offset: u64,
    len: u64,
) -> Result<(), Fault> {
    let (file, from) = (kept_or_open(handles, path)?, kept_or_open(handles, from)?);
    let mut range = ExchangeRange {
        from: from.as_raw_fd(),
        pad: 0,
        from_offset: offset,
        to_offset: offset,
        len,
        flags: 0,
    };
    let structure = ptr::from_mut(&mut range);
    // SAFETY: the kernel reads the structure of this ioctl.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), XFS_IOC_EXCHANGE_RANGE, structure) };
    checked(done, || format!("exchanging a range of {path}"))
}

/// struct file_dedupe_range of linux/fs.h with one destination.
#[repr(C)]
struct DedupeRange {
    from_offset: u64,
    len: u64,
    destinations: u16,
    reserved1: u16,
    reserved2: u32,
    to: i64,
    to_offset: u64,
    bytes_deduped: u64,
    status: i32,
    reserved: u32,
}

/// _IOWR(0x94, 54, struct file_dedupe_range), whose size is that without destinations.
const FIDEDUPERANGE: libc::Ioctl = 0xc018_9436;
const FILE_DEDUPE_RANGE_SAME: i32 = 0;

pub(super) fn dedupe(
    handles: &HandleTable,
    path: &str,
    from: &str,
    offset: u64,
    len: u64,
) -> Result<(), Fault> {
    let failed = || format!("deduplicating {path}");
    let (file, from) = (kept_or_open(handles, path)?, kept_or_open(handles, from)?);
    // SAFETY: plain integers.
    let mut range: DedupeRange = unsafe { mem::zeroed() };
    range.from_offset = offset;
    range.len = len;
    range.destinations = 1;
    range.to = file.as_raw_fd().into();
    range.to_offset = offset;
    // SAFETY: the kernel reads and writes the structure with its one destination.
    let done = unsafe { libc::ioctl(from.as_raw_fd(), FIDEDUPERANGE, ptr::from_mut(&mut range)) };
    checked(done, failed)?;
    match range.status {
        FILE_DEDUPE_RANGE_SAME if range.bytes_deduped == len => Ok(()),
        FILE_DEDUPE_RANGE_SAME => Err(Fault::new(
            failed(),
            format!("{} of {len} bytes were shared", range.bytes_deduped),
        )),
        status if status < 0 => Err(Fault::of(failed())(io::Error::from_raw_os_error(-status))),
        _ => Err(Fault::new(failed(), "the ranges differ")),
    }
}

pub(super) fn copy_over(
    handles: &HandleTable,
    path: &str,
    from: &str,
    offset: u64,
    len: usize,
) -> Result<(), Fault> {
    let failed = || format!("copying over {path}");
    let (file, from) = (kept_or_open(handles, path)?, kept_or_open(handles, from)?);
    let (mut at, mut to) = (offset, offset);
    let copied = rustix::fs::copy_file_range(&*from, Some(&mut at), &*file, Some(&mut to), len)
        .map_err(Fault::of(failed()))?;
    if copied < len {
        return Err(Fault::new(
            failed(),
            format!("{copied} of {len} bytes were copied"),
        ));
    }
    Ok(())
}

pub(super) fn read(
    handles: &HandleTable,
    path: &str,
    offset: u64,
    len: usize,
) -> Result<(), Fault> {
    let file = kept_or_open(handles, path)?;
    let read = file.read_exact_at(&mut vec![0; len], offset);
    read.map_err(Fault::of(format!("reading {path} at {offset:#x}")))
}

pub(super) fn touch(handles: &HandleTable, path: &str, offset: u64) -> Result<(), Fault> {
    let file = kept_or_open(handles, path)?;
    Mapping::new(&file, offset, page_size(), MapKind::Shared)
        .and_then(|mapping| mapping.load(0, 1))
        .map(drop)
}

fn checked(result: i32, doing: impl FnOnce() -> String) -> Result<(), Fault> {
    if result < 0 {
        return Err(Fault::of(doing())(io::Error::last_os_error()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::removals::Removal;
    use crate::worker::Op as _;

    #[test]
    fn a_hole_and_a_collapse_do_what_their_names_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, vec![7; 16384]).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let mode = RangeMode::Punch;
        let punch = Removal::Fallocate {
            path: path.clone(),
            mode,
            offset: 4096,
            len: 4096,
        };
        punch.run(&mut HandleTable::default()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            (bytes.len(), bytes[4095], bytes[4096], bytes[8192]),
            (16384, 7, 0, 7)
        );
        let missing = clone(&HandleTable::default(), &path, "/no/such/file", 0, 4096).unwrap_err();
        assert_eq!(missing.errno, Some(libc::ENOENT));
    }

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(mem::size_of::<CloneRange>(), 32);
        assert_eq!(mem::size_of::<ExchangeRange>(), 40);
        assert_eq!(mem::size_of::<DedupeRange>(), 24 + 32);
    }
}
