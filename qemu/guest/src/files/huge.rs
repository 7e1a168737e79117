// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A part of a file that is mapped by one entry of 2 MiB.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::{io, mem, ptr};

use rustix::fs::{FallocateFlags, fallocate, ftruncate};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::param::page_size;
use serde::{Deserialize, Serialize};

use super::mapping::{MapKind, Mapping};
use super::opened::kept_or_open;
use crate::worker::{Fault, HandleTable, Op};

/// What a PMD entry maps on x86-64.
const HUGE: usize = 2 << 20;

/// Maps 2 MiB of a kept file, shared and writable, at an address that is a multiple of 2 MiB, stores
/// to each page what it holds, and keeps the mapping. Returns how many faults that took: one for the
/// first load and one for the first store, if an entry of 2 MiB maps all pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MapHuge {
    pub name: String,
    pub file: String,
    /// A multiple of 2 MiB.
    pub offset: u64,
}

impl Op for MapHuge {
    const NAME: &'static str = "map-huge";
    type Yield = u64;

    fn run(self, handles: &mut HandleTable) -> Result<u64, Fault> {
        let file: &File = handles.get(&self.file)?;
        let at = reserve()?;
        // SAFETY: the addresses have just been reserved for this.
        let mapping = unsafe { Mapping::at(at, file, self.offset, HUGE, MapKind::Shared) }?;
        let before = faults()?;
        for page in (0..HUGE).step_by(page_size()) {
            let held = mapping.load_word(page as u64);
            mapping.store_word(page as u64, held);
        }
        let taken = faults()? - before;
        handles.keep(&self.name, mapping);
        Ok(taken)
    }
}

/// An address that is a multiple of 2 MiB, from which on as much is reserved. The reservation lasts as
/// long as the process.
fn reserve() -> Result<*mut u8, Fault> {
    // SAFETY: a new mapping without access, at an address that the kernel chooses.
    let reserved = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            2 * HUGE,
            ProtFlags::empty(),
            MapFlags::PRIVATE | MapFlags::NORESERVE,
        )
    };
    let reserved = reserved.map_err(Fault::of("reserving 4 MiB of addresses"))?;
    let reserved = reserved.cast::<u8>();
    Ok(reserved.wrapping_add(reserved.align_offset(HUGE)))
}

/// How many faults without I/O this process has taken.
fn faults() -> Result<u64, Fault> {
    // SAFETY: plain integers.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the kernel fills the structure.
    match unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } {
        0 => Ok(usage.ru_minflt.cast_unsigned()),
        _ => Err(Fault::of("asking for the number of faults")(
            io::Error::last_os_error(),
        )),
    }
}

/// Gives a file other blocks: as many as it had, without content, and contiguous from a multiple of
/// 2 MiB of the device on, if the file system has such space. An entry of 2 MiB can map them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Align {
    pub path: String,
    /// The file's length in bytes.
    pub len: u64,
}

impl Op for Align {
    const NAME: &'static str = "align";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let Self { path, len } = self;
        let failed = || format!("aligning the blocks of {path}");
        let file = kept_or_open(handles, &path)?;
        let huge = HUGE as u64;
        ftruncate(&*file, 0).map_err(Fault::of(failed()))?;
        fallocate(&*file, FallocateFlags::empty(), 0, len + huge).map_err(Fault::of(failed()))?;
        let before = first_block(&file)
            .map_err(Fault::of(failed()))?
            .wrapping_neg()
            % huge;
        if before > 0 {
            // What is before the first multiple leaves the file.
            let flags = FallocateFlags::COLLAPSE_RANGE;
            fallocate(&*file, flags, 0, before).map_err(Fault::of(failed()))?;
        }
        ftruncate(&*file, len).map_err(Fault::of(failed()))
    }
}

/// struct fiemap of linux/fiemap.h with one extent.
#[repr(C)]
struct FirstExtent {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    logical: u64,
    physical: u64,
    extent_length: u64,
    reserved64: [u64; 2],
    extent_flags: u32,
    reserved32: [u32; 3],
}

/// _IOWR('f', 11, struct fiemap), whose size is that without extents.
const FS_IOC_FIEMAP: libc::Ioctl = 0xc020_660b;

/// The offset on the device of a file's first block, in bytes.
fn first_block(file: &File) -> io::Result<u64> {
    // SAFETY: plain integers.
    let mut map: FirstExtent = unsafe { mem::zeroed() };
    map.length = u64::MAX;
    map.extent_count = 1;
    // SAFETY: the kernel reads and writes the structure with its one extent.
    match unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, ptr::from_mut(&mut map)) } {
        0 => Ok(map.physical),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::files::Open;

    #[test]
    fn the_structure_has_the_kernels_size() {
        assert_eq!(mem::size_of::<FirstExtent>(), 32 + 56);
    }

    #[test]
    fn small_pages_take_a_fault_each() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Page by page and backwards, so that the page cache of a host with large folios has small ones.
        for page in (0..HUGE).step_by(page_size()).rev() {
            let bytes = vec![7; page_size()];
            file.as_file().write_all_at(&bytes, page as u64).unwrap();
        }
        let mut handles = HandleTable::default();
        let (name, path) = ("f".to_owned(), file.path().to_str().unwrap().to_owned());
        let open = Open {
            name: name.clone(),
            path,
            direct: false,
        };
        open.run(&mut handles).unwrap();
        let map = MapHuge {
            name: "m".to_owned(),
            file: name,
            offset: 0,
        };
        // The kernel may enter neighbours into the page table at a load, but not at a store.
        assert!(map.run(&mut handles).unwrap() > 2);
        let mapping = handles.get::<Mapping>("m").unwrap();
        assert!(mapping.part(0, 1).unwrap().addr().is_multiple_of(HUGE));
        assert_eq!(mapping.load(HUGE - 1, 1).unwrap(), [7]);
    }
}
