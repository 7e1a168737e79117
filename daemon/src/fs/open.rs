// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reaches the host file behind a FUSE node.
//!
//! virtiofsd's file system keeps its descriptors private, but its `read` passes the `File` behind a
//! handle to the given writer. So this module opens the file, reads into a writer that only borrows
//! the `File`, and releases the handle.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use virtiofsd::filesystem::{Context, FileSystem, ZeroCopyWriter};
use virtiofsd::oslib::ReadvFlags;

use super::NodeId;

/// A writer that reads nothing. It passes the file to `look`, once.
struct Spy<L, T> {
    look: Option<L>,
    seen: Option<io::Result<T>>,
}

impl<L, T> ZeroCopyWriter for &mut Spy<L, T>
where
    L: FnOnce(BorrowedFd<'_>) -> io::Result<T>,
{
    fn read_from_file_at(
        &mut self,
        file: &File,
        _count: usize,
        _offset: u64,
        _flags: Option<ReadvFlags>,
    ) -> io::Result<usize> {
        if let Some(look) = self.look.take() {
            self.seen = Some(look(file.as_fd()));
        }
        Ok(0)
    }
}

/// Opens `node` with `flags` (`open(2)`), shows it to `look`, and closes it again.
///
/// # Errors
/// The file system's error for the open, or the error of `look`.
pub fn with_file<F: FileSystem, T>(
    fs: &F,
    context: Context,
    node: NodeId,
    flags: i32,
    look: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let inode = || F::Inode::from(node.0);
    let (handle, _) = fs.open(context, inode(), false, flags as u32)?;
    let handle: u64 = handle.ok_or_else(bad_handle)?.into();
    let seen = with_handle(fs, context, node, handle, look);
    let released = fs.release(context, inode(), 0, handle.into(), false, false, None);
    if let Err(error) = released {
        // A DESTROY at the same time has released all handles.
        log::debug!("cannot release the handle of node {}: {error}", node.0);
    }
    seen
}

/// Shows the file behind `handle` of `node` to `look`.
///
/// # Errors
/// The error of `look`; EBADF if there is no such handle.
pub fn with_handle<F: FileSystem, T>(
    fs: &F,
    context: Context,
    node: NodeId,
    handle: u64,
    look: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let mut spy = Spy {
        look: Some(look),
        seen: None,
    };
    let inode = F::Inode::from(node.0);
    fs.read(context, inode, handle.into(), &mut spy, 0, 0, None, 0)?;
    spy.seen.unwrap_or_else(|| Err(bad_handle()))
}

fn bad_handle() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}
