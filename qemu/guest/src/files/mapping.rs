// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Parts of files in the worker's memory.

use std::fs::File;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, MsyncFlags, ProtFlags, madvise, mmap, msync, munmap};
use rustix::param::page_size;
use serde::{Deserialize, Serialize};

use super::content::difference;
use crate::worker::{Fault, HandleTable, Op};

const WORD: usize = size_of::<u64>();

/// How a part of a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapKind {
    /// Shared, for loads and stores.
    Shared,
    /// Shared, for loads.
    ReadOnly,
    /// Private: stores go to copies.
    Private,
}

impl MapKind {
    fn flags(self) -> (MapFlags, ProtFlags) {
        match self {
            Self::Shared => (MapFlags::SHARED, ProtFlags::READ | ProtFlags::WRITE),
            Self::ReadOnly => (MapFlags::SHARED, ProtFlags::READ),
            Self::Private => (MapFlags::PRIVATE, ProtFlags::READ | ProtFlags::WRITE),
        }
    }
}

/// A part of a file in memory; unmapped when it is dropped.
///
/// Other processes may change the bytes at any time, so there is never a reference to them: each
/// word or byte is loaded or stored once, by a volatile access. An access to a lost page ends the
/// process by SIGBUS.
#[derive(Debug)]
pub struct Mapping {
    at: *mut u8,
    len: usize,
    /// Where in the file it begins.
    offset: u64,
    kind: MapKind,
}

// SAFETY: any thread may use this memory. All accesses are volatile, and other threads may see a
// store at any time.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of a file from `offset` on, a multiple of the page size.
    ///
    /// # Errors
    ///
    /// What mmap(2) said.
    pub fn new(file: &File, offset: u64, len: usize, kind: MapKind) -> Result<Self, Fault> {
        let (flags, prot) = kind.flags();
        let at = if len == 0 {
            // The kernel refuses a mapping of 0 bytes.
            NonNull::<u8>::dangling().as_ptr()
        } else {
            // SAFETY: a new mapping at an address that the kernel chooses.
            let mapped = unsafe { mmap(ptr::null_mut(), len, prot, flags, file, offset) };
            mapped
                .map_err(Fault::of(format!("mapping {len} bytes at {offset:#x}")))?
                .cast()
        };
        Ok(Self {
            at,
            len,
            offset,
            kind,
        })
    }

    /// The same at an address of the caller's choice.
    ///
    /// # Safety
    ///
    /// Nothing else may use these addresses: what is mapped there is replaced.
    pub(super) unsafe fn at(
        at: *mut u8,
        file: &File,
        offset: u64,
        len: usize,
        kind: MapKind,
    ) -> Result<Self, Fault> {
        let (flags, prot) = kind.flags();
        // SAFETY: the caller owns these addresses.
        let mapped = unsafe { mmap(at.cast(), len, prot, flags | MapFlags::FIXED, file, offset) };
        mapped.map_err(Fault::of(format!("mapping {len} bytes at {offset:#x}")))?;
        Ok(Self {
            at,
            len,
            offset,
            kind,
        })
    }

    /// Bytes that are mapped.
    pub fn size(&self) -> usize {
        self.len
    }

    /// Address of the byte at `at`, of which `len` bytes are mapped.
    pub(crate) fn part(&self, at: usize, len: usize) -> Result<*mut u8, Fault> {
        let end = at.checked_add(len);
        if end.is_none_or(|end| end > self.len) {
            let what = format!("{len} bytes at {at} of a mapping of {}", self.len);
            return Err(Fault::new(what, "outside of it"));
        }
        Ok(self.at.wrapping_add(at))
    }

    /// Where in the file it begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// A copy of mapped bytes.
    pub(crate) fn load(&self, at: usize, len: usize) -> Result<Vec<u8>, Fault> {
        let mut copy = vec![0; len];
        self.read(at, &mut copy)?;
        Ok(copy)
    }

    /// Loads bytes into a buffer, by words where the mapping's address is a multiple of eight.
    pub(crate) fn read(&self, at: usize, buffer: &mut [u8]) -> Result<(), Fault> {
        let from = self.part(at, buffer.len())?;
        let mut done = 0;
        while done < buffer.len() {
            let place = from.wrapping_add(done);
            let word = place.cast::<u64>();
            if word.is_aligned() && buffer.len() - done >= WORD {
                // SAFETY: within the mapping, by `part`.
                let bytes = unsafe { word.read_volatile() }.to_ne_bytes();
                buffer[done..done + WORD].copy_from_slice(&bytes);
                done += WORD;
            } else {
                // SAFETY: as above, for one byte.
                buffer[done] = unsafe { place.read_volatile() };
                done += 1;
            }
        }
        Ok(())
    }

    /// Stores bytes, as [`read`](Self::read) loads them. A store to a mapping for loads raises
    /// SIGSEGV, which a test may want.
    pub(crate) fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Fault> {
        let to = self.part(at, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let place = to.wrapping_add(done);
            let word = place.cast::<u64>();
            match bytes[done..].first_chunk::<WORD>() {
                Some(value) if word.is_aligned() => {
                    // SAFETY: within the mapping, by `part`.
                    unsafe { word.write_volatile(u64::from_ne_bytes(*value)) };
                    done += WORD;
                }
                _ => {
                    // SAFETY: as above, for one byte.
                    unsafe { place.write_volatile(bytes[done]) };
                    done += 1;
                }
            }
        }
        Ok(())
    }

    /// Loads the little-endian word at `at`, a multiple of 8.
    ///
    /// # Panics
    ///
    /// If it is not within the mapping, or not aligned.
    pub fn load_word(&self, at: u64) -> u64 {
        // SAFETY: `word` gives an aligned place within the mapping.
        u64::from_le(unsafe { self.word(at).read_volatile() })
    }

    /// Stores a little-endian word at `at`, a multiple of 8.
    ///
    /// # Panics
    ///
    /// If it is not within the mapping, not aligned, or the mapping is one for loads.
    pub(crate) fn store_word(&self, at: u64, value: u64) {
        assert!(self.kind != MapKind::ReadOnly, "mapped to load from");
        // SAFETY: `word` gives an aligned place within the mapping, which is writable.
        unsafe { self.word(at).write_volatile(value.to_le()) }
    }

    fn word(&self, at: u64) -> *mut u64 {
        let at = at as usize;
        assert!(
            at.is_multiple_of(WORD) && at + WORD <= self.len,
            "byte {at} of {}",
            self.len
        );
        self.at.wrapping_add(at).cast()
    }

    /// Lets the kernel enter the pages of a part into the page table, for reading, without any
    /// access to their bytes (`MADV_POPULATE_READ`).
    ///
    /// # Errors
    ///
    /// What the kernel said, or that the part is outside of the mapping.
    pub fn populate(&self, at: usize, len: usize) -> Result<(), Fault> {
        let part = self.part(at, len)?;
        // SAFETY: within the mapping; this advice changes no byte of it.
        let done = unsafe { madvise(part.cast(), len, Advice::LinuxPopulateRead) };
        done.map_err(Fault::of(format!("populating {len} bytes at {at}")))
    }

    /// Writes back what was stored.
    pub(crate) fn sync(&self) -> Result<(), Fault> {
        if self.kind == MapKind::ReadOnly {
            return Ok(());
        }
        // SAFETY: it is this mapping.
        let synced = unsafe { msync(self.at.cast(), self.len, MsyncFlags::SYNC) };
        synced.map_err(Fault::of("msync"))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: `self` has mapped this range, and no pointer into it outlives an op. A pin's
        // reference belongs to the kernel and may well outlive the mapping: that is what the lab
        // tests.
        if let Err(error) = unsafe { munmap(self.at.cast(), self.len) } {
            eprintln!("guest-agent: unmapping: {error}");
        }
    }
}

/// Maps a part of a kept file, shared and writable, and keeps the mapping. Returns its address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Map {
    pub name: String,
    pub file: String,
    pub offset: u64,
    pub len: usize,
    /// A private mapping: its stores go to copies.
    pub private: bool,
}

impl Op for Map {
    const NAME: &'static str = "map";
    type Yield = u64;

    fn run(self, handles: &mut HandleTable) -> Result<u64, Fault> {
        let file: &File = handles.get(&self.file)?;
        let kind = if self.private {
            MapKind::Private
        } else {
            MapKind::Shared
        };
        let mapping = Mapping::new(file, self.offset, self.len, kind)?;
        let address = mapping.at.addr() as u64;
        handles.keep(&self.name, mapping);
        Ok(address)
    }
}

/// Maps the same part of a kept file a number of times, and keeps the mappings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MapMany {
    pub name: String,
    pub file: String,
    pub offset: u64,
    pub len: usize,
    pub times: u32,
}

impl Op for MapMany {
    const NAME: &'static str = "map-many";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let file: &File = handles.get(&self.file)?;
        let map = |_| Mapping::new(file, self.offset, self.len, MapKind::Shared);
        let mappings: Vec<Mapping> = (0..self.times).map(map).collect::<Result<_, Fault>>()?;
        handles.keep(&self.name, mappings);
        Ok(())
    }
}

/// Accesses every page of a mapping's part, so that it is in the page tables.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Touch {
    pub map: String,
    pub at: usize,
    pub len: usize,
    /// Stores the loaded value back.
    pub store: bool,
}

impl Op for Touch {
    const NAME: &'static str = "touch";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let from = handles.get::<Mapping>(&self.map)?.part(self.at, self.len)?;
        for index in (0..self.len).step_by(page_size()) {
            // SAFETY: within the mapping.
            unsafe {
                let byte = from.add(index);
                let found = ptr::read_volatile(byte);
                if self.store {
                    ptr::write_volatile(byte, found);
                }
            }
        }
        Ok(())
    }
}

/// Compares a mapping's part with a pattern or with zeros; gives the first difference in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    pub map: String,
    pub at: usize,
    pub len: usize,
    /// The pattern's seed, and the offset of the part in the pattern; `None` is zeros.
    pub pattern: Option<(u64, u64)>,
}

impl Op for Load {
    const NAME: &'static str = "load";
    type Yield = Option<String>;

    fn run(self, handles: &mut HandleTable) -> Result<Option<String>, Fault> {
        let map: &Mapping = handles.get(&self.map)?;
        let bytes = map.load(self.at, self.len)?;
        let (seed, at) = self.pattern.unzip();
        Ok(difference(seed, at.unwrap_or(self.at as u64), &bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_read_and_written_at_any_offset_and_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut bytes: Vec<u8> = (0..64).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mapping = Mapping::new(&file, 0, 64, MapKind::Shared).unwrap();
        for offset in 0..=8 {
            for len in 0..=32 {
                let part = offset..offset + len;
                let read = mapping.load(offset, len).unwrap();
                assert_eq!(read, bytes[part.clone()], "read {len} at {offset}");
                bytes[part.clone()]
                    .iter_mut()
                    .for_each(|byte| *byte ^= 0xff);
                mapping.write(offset, &bytes[part]).unwrap();
                let file = std::fs::read(&path).unwrap();
                assert_eq!(file, bytes, "write {len} at {offset}");
            }
        }
    }
}
