// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The ways in which a program reaches a file's bytes, behind one interface.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use memmap2::{MmapOptions, MmapRaw};

/// How many bytes are handled at a time.
pub const CHUNK: usize = 256 * 1024;

/// How many bytes of a mapping one access reaches, where it can.
const WORD: usize = size_of::<u64>();

/// The way to a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum How {
    /// read(2) and write(2).
    Syscall,
    /// Loads and stores through a shared mapping.
    Mmap,
}

/// Whether the bytes will be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Opened and mapped read-only.
    Read,
    /// Opened for both, mapped writable.
    Write,
}

/// A file opened for access in one way.
pub enum Access {
    /// By system calls.
    Syscall(File),
    /// Through a mapping of the whole file.
    Mmap(Mapping),
}

impl Access {
    /// Opens `path`, which has to exist and keep its size.
    pub fn open(path: &Path, how: How, intent: Intent) -> Result<Self> {
        match how {
            How::Syscall => Ok(Self::Syscall(open(path, intent)?)),
            How::Mmap => Ok(Self::Mmap(Mapping::new(path, intent)?)),
        }
    }

    /// Reads exactly `buffer.len()` bytes at `offset`.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Syscall(file) => file.read_exact_at(buffer, offset),
            Self::Mmap(mapping) => mapping.load(offset, buffer),
        }
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Syscall(file) => file.write_all_at(bytes, offset),
            Self::Mmap(mapping) => mapping.store(offset, bytes),
        }
    }
}

/// Opens an existing file.
pub fn open(path: &Path, intent: Intent) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(intent == Intent::Write)
        .open(path)
        .with_context(|| format!("can't open {}", path.display()))
}

/// A shared mapping of a whole file, read and written without any reference to its bytes, since
/// others change them at any time.
pub struct Mapping {
    /// None for an empty file, which can't be mapped.
    raw: Option<MmapRaw>,
}

impl Mapping {
    /// Maps all of `path`.
    pub fn new(path: &Path, intent: Intent) -> Result<Self> {
        let file = open(path, intent)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self { raw: None });
        }
        let options = MmapOptions::new();
        let raw = match intent {
            Intent::Read => options.map_raw_read_only(&file),
            Intent::Write => options.map_raw(&file),
        };
        let raw = raw.with_context(|| format!("can't map {}", path.display()))?;
        Ok(Self { raw: Some(raw) })
    }

    /// The mapping's length in bytes.
    pub fn len(&self) -> usize {
        self.raw.as_ref().map_or(0, MmapRaw::len)
    }

    /// True for an empty file's mapping.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads the eight bytes at `offset`, once, from memory.
    pub fn load_word(&self, offset: usize) -> u64 {
        let at = self
            .pointer(offset as u64, 8)
            .expect("word outside of the mapping");
        // SAFETY: pointer() has checked that the eight bytes are inside of the live mapping.
        unsafe { at.cast::<u64>().read_volatile() }
    }

    /// Makes the kernel enter the pages of a part into the page table, for reading, without any
    /// access to their bytes (`MADV_POPULATE_READ`).
    pub fn populate(&self, offset: usize, len: usize) -> io::Result<()> {
        let at = self.pointer(offset as u64, len)?;
        // SAFETY: pointer() has checked that the range is inside of the live mapping; this advice
        // changes no byte of it.
        match unsafe { libc::madvise(at.cast(), len, libc::MADV_POPULATE_READ) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Copies by words of eight bytes where the mapping's address is a multiple of eight.
    fn load(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let from = self.pointer(offset, buffer.len())?;
        let mut done = 0;
        while done < buffer.len() {
            let at = from.wrapping_add(done);
            let word = at.cast::<u64>();
            if word.is_aligned() && buffer.len() - done >= WORD {
                // SAFETY: pointer() has checked that the word is inside of the live mapping. The
                // access is volatile because others change the bytes meanwhile.
                let bytes = unsafe { word.read_volatile() }.to_ne_bytes();
                buffer[done..done + WORD].copy_from_slice(&bytes);
                done += WORD;
            } else {
                // SAFETY: as above, for one byte.
                buffer[done] = unsafe { at.read_volatile() };
                done += 1;
            }
        }
        Ok(())
    }

    /// Copies by words, as [`Self::load`] does. A read-only mapping faults, which is what a test
    /// wants to see.
    fn store(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let to = self.pointer(offset, bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let at = to.wrapping_add(done);
            let word = at.cast::<u64>();
            match bytes[done..].first_chunk::<WORD>() {
                Some(value) if word.is_aligned() => {
                    // SAFETY: pointer() has checked that the word is inside of the live mapping.
                    // The access is volatile because others read the bytes meanwhile.
                    unsafe { word.write_volatile(u64::from_ne_bytes(*value)) };
                    done += WORD;
                }
                _ => {
                    // SAFETY: as above, for one byte.
                    unsafe { at.write_volatile(bytes[done]) };
                    done += 1;
                }
            }
        }
        Ok(())
    }

    /// The address of `len` bytes at `offset`, if they are all inside.
    pub(crate) fn pointer(&self, offset: u64, len: usize) -> io::Result<*mut u8> {
        let outside = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let offset = usize::try_from(offset).map_err(|_| outside())?;
        let end = offset.checked_add(len).ok_or_else(outside)?;
        match &self.raw {
            Some(raw) if end <= raw.len() => Ok(raw.as_mut_ptr().wrapping_add(offset)),
            _ => Err(outside()),
        }
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
        let access = Access::open(&path, How::Mmap, Intent::Write).unwrap();
        for offset in 0..=8 {
            for len in 0..=32 {
                let part = offset..offset + len;
                let mut read = vec![0; len];
                access.read(offset as u64, &mut read).unwrap();
                assert_eq!(read, bytes[part.clone()], "read {len} at {offset}");
                bytes[part.clone()]
                    .iter_mut()
                    .for_each(|byte| *byte ^= 0xff);
                access.write(offset as u64, &bytes[part]).unwrap();
                let file = std::fs::read(&path).unwrap();
                assert_eq!(file, bytes, "write {len} at {offset}");
            }
        }
    }
}
