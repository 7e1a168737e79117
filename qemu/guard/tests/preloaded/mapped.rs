// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Mappings of the view on standard input, and accesses to them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

pub(crate) const PAGE: usize = 4096;

/// The size that a Linux guest maps at once.
pub(crate) const RANGE: usize = 2 << 20;

/// The limit for an available page to be mapped again. 100 ms are promised on an idle machine;
/// tests run on busy ones.
pub(crate) const SEEN_AGAIN: Duration = Duration::from_secs(10);

/// A range of addresses, which stays until the process ends.
#[derive(Clone, Copy)]
pub(crate) struct Mapped(*mut u8, usize);

// SAFETY: it is only ever read and written by volatile accesses of single bytes.
unsafe impl Send for Mapped {}

/// Maps part of the view.
pub(crate) fn view(offset: usize, length: usize) -> io::Result<Mapped> {
    map(ptr::null_mut(), length, libc::MAP_SHARED, 0, offset)
}

/// Maps part of the view at an address, as QEMU does within a range that it has reserved.
pub(crate) fn view_at(at: &Mapped, offset: usize) -> io::Result<Mapped> {
    map(at.0, at.1, libc::MAP_SHARED | libc::MAP_FIXED, 0, offset)
}

/// Memory of the process.
pub(crate) fn memory(length: usize) -> io::Result<Mapped> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    map(ptr::null_mut(), length, flags, -1, 0)
}

/// Memory of the process that replaces an existing mapping.
pub(crate) fn memory_at(at: &Mapped) -> io::Result<Mapped> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    map(at.0, at.1, flags, -1, 0)
}

/// Maps a file that is no view.
pub(crate) fn plain(descriptor: i32, length: usize) -> io::Result<Mapped> {
    map(ptr::null_mut(), length, libc::MAP_SHARED, descriptor, 0)
}

fn map(
    at: *mut u8,
    length: usize,
    flags: i32,
    descriptor: i32,
    offset: usize,
) -> io::Result<Mapped> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: new memory, or a range that a caller has made for it.
    let mapped = unsafe {
        libc::mmap64(
            at.cast(),
            length,
            protection,
            flags,
            descriptor,
            offset as i64,
        )
    };
    match mapped {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        start => Ok(Mapped(start.cast(), length)),
    }
}

impl Mapped {
    pub(crate) fn load(&self, offset: usize) -> u8 {
        assert!(offset < self.1);
        // SAFETY: it lies in the mapping. Should the page be lost, the signal is what is tested.
        unsafe { self.0.add(offset).read_volatile() }
    }

    pub(crate) fn store(&self, offset: usize, byte: u8) {
        assert!(offset < self.1);
        // SAFETY: as of load.
        unsafe { self.0.add(offset).write_volatile(byte) }
    }

    pub(crate) fn part(&self, offset: usize, length: usize) -> Self {
        assert!(offset + length <= self.1);
        // SAFETY: it lies in the mapping.
        Self(unsafe { self.0.add(offset) }, length)
    }

    pub(crate) fn address(&self) -> usize {
        self.0.addr()
    }

    pub(crate) fn unmap(&self) -> io::Result<()> {
        // SAFETY: nothing of it is used afterwards.
        match unsafe { libc::munmap(self.0.cast(), self.1) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until a byte has this value; returns how long that took.
    pub(crate) fn await_byte(&self, offset: usize, byte: u8) -> io::Result<Duration> {
        let begin = Instant::now();
        while self.load(offset) != byte {
            if begin.elapsed() > SEEN_AGAIN {
                let found = self.load(offset);
                return Err(io::Error::other(format!(
                    "byte {offset} is {found}, not {byte}, after {SEEN_AGAIN:?}"
                )));
            }
            std::thread::yield_now();
        }
        Ok(begin.elapsed())
    }
}

impl Mapped {
    /// Waits until the kernel's mapping at the first byte can only be read.
    pub(crate) fn await_protected(&self) -> io::Result<()> {
        let start = format!("{:x}-", self.address());
        let begin = Instant::now();
        while begin.elapsed() < SEEN_AGAIN {
            let maps = std::fs::read_to_string("/proc/self/maps")?;
            let line = maps.lines().find(|line| line.starts_with(&start));
            if line.is_some_and(|line| line.contains(" r--p ")) {
                return Ok(());
            }
            std::thread::yield_now();
        }
        Err(io::Error::other("it can be stored to still"))
    }
}

pub(crate) fn open(file: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(file)
}

/// An error with this sentence unless the claim is true.
pub(crate) fn check(claim: bool, sentence: impl std::fmt::Display) -> io::Result<()> {
    match claim {
        true => Ok(()),
        false => Err(io::Error::other(sentence.to_string())),
    }
}

/// How many mappings the kernel has of this process.
pub(crate) fn kernel_mappings() -> io::Result<usize> {
    Ok(std::fs::read_to_string("/proc/self/maps")?.lines().count())
}
