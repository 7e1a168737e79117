// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Buffers of a request that lie in mapped files and not in memory.
//!
//! A guest may use an address of a DAX window in a descriptor: write(2) from a mapped file does.
//! Such a buffer is never accessed by loads and stores, because the file's pages may go at any
//! time. The request gets private memory instead. The guest's data is read from the file when the
//! request is taken; the reply is copied to the file before the request is returned. Both are done
//! by system calls, which report a page that is gone.
//!
//! ```text
//!   descriptor ─▶ Mapped: which file, which offset ─▶ Piece ─▶ private memory, a part of the
//!                                                             request's own table of memory
//!   readable: pread(file) ─▶ private memory        when the request is taken
//!   writable: private memory ─▶ the file's pages   before the used ring moves
//! ```
//!
//! Invariants:
//! * a piece holds its file, so later changes of the window do not matter;
//! * no file changes its size: bytes behind its end read as zeros, and writes to them are dropped;
//! * the private memory of a request, and that of all requests, is bounded; the private memory is
//!   the request's alone, so a request that reads from the pages that it writes to is right.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::MemfdFlags;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryBackend, GuestRegionMmap};

use super::buffers::Buffer;
use super::memory::TransportMemory;

/// The private memory's address in a request's memory table: no guest has memory there.
const PRIVATE: GuestAddress = GuestAddress(1 << 60);
/// The most bytes of one request that may lie in files. Linux sends at most 1 MiB at a time.
const MOST_OF_A_REQUEST: usize = 2 << 20;
/// The most such bytes of all requests together.
const MOST_OF_ALL: usize = 64 << 20;
/// Buffers keep their offset in a page, since a file may be open for direct I/O.
const PAGE: u64 = 4096;

/// The part of a file at a guest address.
pub struct FilePiece {
    /// The file.
    pub file: Arc<dyn AsFd + Send + Sync>,
    /// The offset in the file, in bytes.
    pub offset: u64,
    /// The number of bytes, at least 1.
    pub len: u64,
}

/// Knows which files are mapped into the guest's address space.
pub trait Mapped: Sync {
    /// The file at `address`, which is no memory: up to `len` bytes. Must not wait for the VMM.
    fn at(&self, address: GuestAddress, len: u64) -> Option<FilePiece>;
}

/// Why a buffer of a request can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nothing is at the address.
    #[error(
        "{len} bytes at {addr:#x} are no memory, and no file of this share is mapped there; if \
         another share of the VM has a file mapped there, both daemons need --mem-slots"
    )]
    Unreachable {
        /// The guest address.
        addr: u64,
        /// Bytes that are missing.
        len: u64,
    },
    /// More bytes in mapped files than any guest sends at once.
    #[error("more than {MOST_OF_A_REQUEST} bytes of a request lie in mapped files")]
    TooMuch,
    /// No private memory.
    #[error("there is no private memory for a request")]
    NoMemory(#[source] io::Error),
    /// The file failed.
    #[error("a mapped file that holds a part of a request failed")]
    File(#[source] io::Error),
}

impl Fault {
    /// The errno for the guest, positive: EFAULT, ENOMEM or EIO.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::Unreachable { .. } => libc::EFAULT,
            Self::TooMuch | Self::NoMemory(_) => libc::ENOMEM,
            Self::File(_) => libc::EIO,
        }
    }
}

/// Which side reads a buffer and which writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Readable,
    Writable,
}

/// A buffer in a file.
struct Piece {
    direction: Direction,
    /// Bytes of this direction before it.
    before: usize,
    len: usize,
    file: Arc<dyn AsFd + Send + Sync>,
    offset: u64,
    /// The offset in the private memory.
    at: usize,
}

/// The parts of a request that are not in memory.
#[derive(Default)]
pub(super) struct Outside {
    pieces: Vec<Piece>,
    size: usize,
    memory: Option<(Arc<File>, Grant)>,
    fault: Option<Fault>,
}

impl Outside {
    /// Why the request can't be served, if it can't.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Records that the request can't be served.
    pub(super) fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Reserves a place for the bytes at `addr`. The buffer has no address in this process yet.
    pub(super) fn place(
        &mut self,
        mapped: &dyn Mapped,
        addr: GuestAddress,
        len: u64,
        direction: Direction,
        before: usize,
    ) -> Option<Buffer> {
        let FilePiece { file, offset, len } = mapped.at(addr, len)?;
        let at = (self.size as u64).next_multiple_of(PAGE) + addr.0 % PAGE;
        let follows = self.size as u64 % PAGE == addr.0 % PAGE && self.size > 0;
        let at = if follows { self.size as u64 } else { at };
        let end = at
            .checked_add(len)
            .filter(|end| *end <= MOST_OF_A_REQUEST as u64);
        let Some(end) = end else {
            self.fail(Fault::TooMuch);
            return None;
        };
        let (at, len) = (at as usize, len as usize);
        self.size = end as usize;
        self.pieces.push(Piece {
            direction,
            before,
            len,
            file,
            offset,
            at,
        });
        Some(Buffer {
            addr: GuestAddress(PRIVATE.0 + at as u64),
            len: len as u32,
            host: std::ptr::null_mut(),
        })
    }

    /// Makes the private memory and fills it with the guest's data. Returns `memory` with the
    /// private memory added.
    pub(super) fn fill(
        &mut self,
        memory: &TransportMemory,
    ) -> Result<Option<TransportMemory>, Fault> {
        if self.pieces.is_empty() {
            return Ok(None);
        }
        let no_memory = |error| Fault::NoMemory(io::Error::other(error));
        let grant = Grant::of(&GRANTED, self.size).map_err(Fault::NoMemory)?;
        let file = rustix::fs::memfd_create("window-buffers", MemfdFlags::CLOEXEC)
            .map_err(|errno| Fault::NoMemory(errno.into()))?;
        let file = Arc::new(File::from(file));
        file.set_len(self.size as u64).map_err(Fault::NoMemory)?;
        let place = FileOffset::from_arc(Arc::clone(&file), 0);
        let region = GuestRegionMmap::from_range(PRIVATE, self.size, Some(place));
        let region = region.map_err(|error| Fault::NoMemory(io::Error::other(error)))?;
        let start = region.as_ptr();
        let memory = memory.insert_region(Arc::new(region)).map_err(no_memory)?;
        for piece in &self.pieces {
            if piece.direction == Direction::Readable {
                // SAFETY: the bytes are a part of the region just made, which no other code uses
                // yet.
                let bytes =
                    unsafe { std::slice::from_raw_parts_mut(start.add(piece.at), piece.len) };
                read_all(piece.file.as_fd(), bytes, piece.offset).map_err(Fault::File)?;
            }
        }
        self.memory = Some((file, grant));
        Ok(Some(memory))
    }

    /// Copies those of the reply's first `len` bytes that belong into files to those files.
    pub(super) fn write_back(&self, len: usize) -> io::Result<()> {
        let Some((memory, _)) = &self.memory else {
            return Ok(());
        };
        let writable = self.pieces.iter();
        for piece in writable.filter(|piece| piece.direction == Direction::Writable) {
            let len = len.saturating_sub(piece.before).min(piece.len);
            if len > 0 {
                store(
                    memory,
                    piece.at as u64,
                    piece.file.as_fd(),
                    piece.offset,
                    len,
                )?;
            }
        }
        Ok(())
    }
}

/// Gives each buffer in a file its address in this process.
pub(super) fn locate(buffers: &mut [Buffer], memory: &TransportMemory) {
    for buffer in buffers.iter_mut().filter(|buffer| buffer.host.is_null()) {
        if let Ok(host) = memory.get_host_address(buffer.addr) {
            buffer.host = host;
        }
    }
}

/// Fills `bytes` from the file. Bytes behind the file's end stay unchanged.
fn read_all(file: BorrowedFd<'_>, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *bytes, offset))? {
            0 => return Ok(()),
            read => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Copies `len` bytes of `memory` at `from` into the pages of `file` at `offset`. The kernel copies
/// through a mapping, because a write to the file might enlarge it.
fn store(
    memory: &File,
    from: u64,
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> io::Result<()> {
    let page = shared_window::page_size();
    let skip = (offset % page) as usize;
    let mapping = Mapping::new(file, offset - skip as u64, skip + len)?;
    let mut done = 0;
    while done < len {
        match mapping.fill(skip + done, memory, from + done as u64, len - done) {
            Ok(copied) if copied > 0 => done += copied,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            failed => return behind_the_end(file, offset + done as u64, failed),
        }
    }
    Ok(())
}

/// The meaning of a failed store: it is no error if the page lies behind the file's end, where
/// there is nothing to keep.
fn behind_the_end(file: BorrowedFd<'_>, offset: u64, failed: io::Result<usize>) -> io::Result<()> {
    let mut byte = [0];
    match rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut byte, offset))? {
        0 => Ok(()),
        _ => Err(failed.err().unwrap_or(io::ErrorKind::WriteZero.into())),
    }
}

/// Pages of a file, mapped for as long as this lives.
struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    fn new(file: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            start: start.cast(),
            len,
        })
    }

    /// Lets the kernel copy `len` bytes of `memory` at `from` to `at`; returns how many it could
    /// copy.
    fn fill(&self, at: usize, memory: &File, from: u64, len: usize) -> io::Result<usize> {
        assert!(at + len <= self.len, "within the mapping");
        // SAFETY: the bytes are a part of the mapping, which lives as long as `self`, and no
        // reference to them exists. The kernel reports those that have no page.
        let copied = unsafe {
            libc::pread(
                memory.as_raw_fd(),
                self.start.add(at).cast(),
                len,
                // An offset in the private memory, which is small.
                from as i64,
            )
        };
        usize::try_from(copied).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `self` owns the mapping, and nothing points into it any more.
        let unmapped = unsafe { libc::munmap(self.start.cast(), self.len) };
        debug_assert_eq!(unmapped, 0, "a mapping of our own can be unmapped");
    }
}

/// Private memory of all requests, in bytes.
static GRANTED: AtomicUsize = AtomicUsize::new(0);

/// A part of the private memory that all requests may have.
struct Grant {
    of: &'static AtomicUsize,
    bytes: usize,
}

impl Grant {
    fn of(of: &'static AtomicUsize, bytes: usize) -> io::Result<Self> {
        let grant = Self { of, bytes };
        if of.fetch_add(bytes, Ordering::Relaxed) + bytes > MOST_OF_ALL {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(grant)
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use vm_memory::GuestAddress;

    use super::{
        Direction, Fault, FilePiece, Grant, MOST_OF_A_REQUEST, MOST_OF_ALL, Mapped, Outside, PAGE,
    };

    /// The same file everywhere.
    struct Everywhere(Arc<File>);

    impl Mapped for Everywhere {
        fn at(&self, address: GuestAddress, len: u64) -> Option<FilePiece> {
            let file: Arc<dyn AsFd + Send + Sync> = Arc::clone(&self.0) as _;
            Some(FilePiece {
                file,
                offset: address.0,
                len,
            })
        }
    }

    fn everywhere() -> Everywhere {
        Everywhere(Arc::new(tempfile::tempfile().expect("a file")))
    }

    #[test]
    fn private_memory_is_bounded() {
        let file = everywhere();
        let mut outside = Outside::default();
        let mut place = |at, len| {
            let placed = outside.place(&file, GuestAddress(at), len, Direction::Readable, 0);
            placed.is_some()
        };
        let most = MOST_OF_A_REQUEST as u64;
        assert!(place(0, most));
        assert!(!place(most, 1), "a byte more");
        assert!(matches!(outside.fault(), Some(Fault::TooMuch)));

        static ALL: AtomicUsize = AtomicUsize::new(0);
        let half = Grant::of(&ALL, MOST_OF_ALL / 2).expect("a half");
        let rest = Grant::of(&ALL, MOST_OF_ALL / 2).expect("the rest");
        assert!(Grant::of(&ALL, 1).is_err(), "of all requests");
        drop(half);
        assert!(Grant::of(&ALL, 1).is_ok(), "room again");
        drop(rest);
        assert_eq!(ALL.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn buffers_keep_their_place_in_a_page() {
        let file = everywhere();
        let mut outside = Outside::default();
        for (at, len) in [
            (5, 10),
            (15, 3),
            (7 * PAGE + 512, 512),
            (0, PAGE),
            (PAGE, 1),
        ] {
            let buffer = outside.place(&file, GuestAddress(at), len, Direction::Readable, 0);
            assert_eq!(buffer.expect("a place").addr.0 % PAGE, at % PAGE, "{at}");
        }
        assert_eq!(
            outside.size,
            (3 * PAGE + 1) as usize,
            "and follow each other"
        );
    }
}
