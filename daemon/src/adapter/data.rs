// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Moves file data between a file and guest memory without a copy in between.
//!
//! Like the readers and writers of virtiofsd's server, but over the transport's own mappings and
//! without allocations: a READ of a few pages needs none.

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;

use smallvec::SmallVec;
use virtiofsd::filesystem::{ZeroCopyReader, ZeroCopyWriter};
use virtiofsd::oslib::{ReadvFlags, WritevFlags, readv_at, writev_at};

use super::buffers::{Buffer, ChainBuffers, INLINE_BUFFERS};
use super::read_way::{ReadWay, Way};

/// The most pieces in one system call: `UIO_MAXIOV`.
const MAX_PIECES: usize = 1024;

/// Pieces of guest memory, in the order of their bytes, that live as long as their request.
struct Pieces<'a> {
    iovecs: SmallVec<[libc::iovec; INLINE_BUFFERS]>,
    request: PhantomData<&'a ChainBuffers>,
}

impl Pieces<'_> {
    fn of(buffers: &[Buffer], mut skip: usize) -> Self {
        let mut iovecs = SmallVec::new();
        for buffer in buffers {
            let len = buffer.len as usize;
            if skip >= len {
                skip -= len;
                continue;
            }
            iovecs.push(libc::iovec {
                iov_base: buffer.host.wrapping_add(skip).cast(),
                iov_len: len - skip,
            });
            skip = 0;
        }
        Self {
            iovecs,
            request: PhantomData,
        }
    }

    fn len(&self) -> usize {
        self.iovecs.iter().map(|piece| piece.iov_len).sum()
    }

    /// Moves up to `count` bytes by `call`, which moves one set of pieces at one offset, until it
    /// moves none or fails.
    fn transfer(
        &self,
        count: usize,
        offset: u64,
        mut call: impl FnMut(&[libc::iovec], i64) -> io::Result<usize>,
    ) -> Transferred {
        let mut done = 0;
        let ended = loop {
            let pieces = self.between(done, count);
            if pieces.is_empty() {
                break Ok(());
            }
            let at = offset.checked_add(done as u64);
            let at = at.and_then(|at| i64::try_from(at).ok());
            let moved = at.map_or_else(
                || Err(io::Error::from_raw_os_error(libc::EINVAL)),
                |at| call(&pieces, at),
            );
            match moved {
                Ok(0) => break Ok(()),
                Ok(moved) => done += moved,
                Err(error) => break Err(error),
            }
        };
        Transferred { moved: done, ended }
    }

    /// The pieces of the bytes `from..to`, at most as many as a system call takes.
    fn between(&self, mut from: usize, to: usize) -> SmallVec<[libc::iovec; INLINE_BUFFERS]> {
        let mut left = to.saturating_sub(from);
        let mut pieces = SmallVec::new();
        for piece in &self.iovecs {
            if left == 0 || pieces.len() == MAX_PIECES {
                break;
            }
            if from >= piece.iov_len {
                from -= piece.iov_len;
                continue;
            }
            let len = left.min(piece.iov_len - from);
            pieces.push(libc::iovec {
                iov_base: piece.iov_base.cast::<u8>().wrapping_add(from).cast(),
                iov_len: len,
            });
            left -= len;
            from = 0;
        }
        pieces
    }
}

/// The guest's data from an offset on, to be written to a file.
pub struct DataIn<'a>(Pieces<'a>);

/// The room of a reply from an offset on, to be filled from a file.
pub struct DataOut<'a> {
    pieces: Pieces<'a>,
    /// How to read without waiting; none if a read may wait.
    way: Option<ReadWay<'a>>,
}

impl<'a> DataOut<'a> {
    /// Lets a read fail with EAGAIN if it would have to wait for the file's data. `way` is that of the
    /// handle that is read.
    #[must_use]
    pub fn without_waiting(self, way: ReadWay<'a>) -> Self {
        Self {
            way: Some(way),
            ..self
        }
    }

    fn read(&self, f: &File, count: usize, off: u64, flags: ReadvFlags) -> io::Result<usize> {
        let flags = (!flags.is_empty()).then_some(flags);
        let transferred = self.pieces.transfer(count, off, |pieces, at| {
            // SAFETY: as for `DataIn`; no reference to these bytes exists in this process.
            unsafe { readv_at(f.as_fd(), pieces, at, flags) }
        });
        transferred.read()
    }

    /// Whether the data has to be waited for, on a file that does not say so itself.
    fn would_wait(&self, f: &File, count: usize, off: u64) -> bool {
        let len = count.min(self.pieces.len()) as u64;
        self.way.is_some_and(|way| !way.is_cached(f, off, len))
    }
}

impl ChainBuffers {
    /// The guest's bytes behind the first `skip` of them.
    #[must_use]
    pub fn data_in(&self, skip: usize) -> DataIn<'_> {
        DataIn(Pieces::of(self.buffers().0, skip))
    }

    /// The room for the reply behind its first `skip` bytes.
    #[must_use]
    pub fn data_out(&self, skip: usize) -> DataOut<'_> {
        DataOut {
            pieces: Pieces::of(self.buffers().1, skip),
            way: None,
        }
    }
}

/// The progress of a transfer.
struct Transferred {
    moved: usize,
    ended: io::Result<()>,
}

impl Transferred {
    /// The result of a write. A write that failed after some bytes returns their number, as
    /// write(2) does; the guest gets the error with its next write.
    fn written(self) -> io::Result<usize> {
        match self.ended {
            Err(error) if self.moved == 0 => Err(error),
            _ => Ok(self.moved),
        }
    }

    /// The result of a read. A read that failed after some bytes fails: Linux would take fewer
    /// bytes for the file's end, and the rest for zeros.
    fn read(self) -> io::Result<usize> {
        self.ended.map(|()| self.moved)
    }
}

impl ZeroCopyReader for DataIn<'_> {
    fn write_to_file_at(
        &mut self,
        f: &File,
        count: usize,
        off: u64,
        flags: Option<WritevFlags>,
    ) -> io::Result<usize> {
        let transferred = self.0.transfer(count, off, |pieces, at| {
            // SAFETY: the pieces are buffers of the request, whose memory owns the mappings and
            // outlives `self`. The kernel may find them changed by the guest, or gone, and says so.
            unsafe { writev_at(f.as_fd(), pieces, at, flags) }
        });
        transferred.written()
    }
}

impl ZeroCopyWriter for DataOut<'_> {
    fn read_from_file_at(
        &mut self,
        f: &File,
        count: usize,
        off: u64,
        flags: Option<ReadvFlags>,
    ) -> io::Result<usize> {
        let flags = flags.unwrap_or(ReadvFlags::empty());
        let Some(way) = self.way else {
            return self.read(f, count, off, flags);
        };
        let way = match way.get() {
            Way::Try => match self.read(f, count, off, flags | ReadvFlags::RWF_NOWAIT) {
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => way.find(f),
                done => return done,
            },
            known => known,
        };
        if way == Way::Ask && self.would_wait(f, count, off) {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        self.read(f, count, off, flags)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::marker::PhantomData;

    use smallvec::smallvec;

    use super::Pieces;

    fn pieces() -> Pieces<'static> {
        let none = libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 10,
        };
        Pieces {
            iovecs: smallvec![none, none],
            request: PhantomData,
        }
    }

    /// Moves 15 bytes, and fails then, as a file system does after its last block.
    fn fills_up(_: &[libc::iovec], at: i64) -> io::Result<usize> {
        match at {
            0 => Ok(15),
            _ => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
        }
    }

    #[test]
    fn a_write_that_fails_on_the_way_comes_to_what_was_written() {
        let transferred = pieces().transfer(20, 0, fills_up);
        assert_eq!(transferred.written().unwrap(), 15);
        let transferred = pieces().transfer(20, 15, fills_up);
        let error = transferred.written().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }

    #[test]
    fn a_read_that_fails_on_the_way_has_failed() {
        let read = pieces().transfer(20, 0, fills_up).read();
        assert_eq!(read.unwrap_err().raw_os_error(), Some(libc::ENOSPC));
    }
}
