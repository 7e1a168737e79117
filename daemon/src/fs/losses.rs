// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Refuses operations that take pages from a file which is mapped under another node.
//!
//! A guest's kernel removes its mappings of a file before it truncates that file, but only those of
//! the node that it truncates. If the share has two mounts of one file, the guest has two nodes of
//! it, and a mapping of the other node would stay: QEMU would be killed by SIGBUS when the guest
//! touches it. So the operation is refused (ETXTBSY) as long as such a mapping exists. To remove
//! the mapping instead would leave a hole in a range that the guest still uses. The hole reads as
//! zeros and drops stores, even after the file has grown again.
//!
//! Only operations that shorten a file take pages: SETATTR of a size, O_TRUNC, and FALLOCATE with
//! COLLAPSE_RANGE. A punched hole reads as zeros through a mapping, as it should. A copied range
//! shows its new bytes. A file that was replaced or has lost its name keeps its pages.

use std::io;
use std::os::fd::BorrowedFd;

use shared_window::{FileKey, Losing, MappedFiles};
use virtiofsd::filesystem::{Context, FileSystem};

use super::{NodeId, with_file};
use crate::log::LogLimit;

/// The error for the guest. Linux returns it for a program that is executing, and `--host-truncate`
/// for a mapped file that another process truncates.
const IN_USE: i32 = libc::ETXTBSY;

/// How much an operation takes from the end of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// All bytes from this offset on.
    To(u64),
    /// This many bytes.
    Of(u64),
}

/// Keeps operations from taking pages that are mapped under another node.
pub struct Losses {
    mapped: MappedFiles,
    log_limit: LogLimit,
}

impl Losses {
    /// Checks operations against the mapped files in `mapped`.
    #[must_use]
    pub fn new(mapped: &MappedFiles) -> Self {
        Self {
            mapped: mapped.clone(),
            log_limit: LogLimit::default(),
        }
    }

    /// Begins an operation on `node`. While the caller holds the returned guard, no other node of
    /// that file is newly mapped.
    ///
    /// # Errors
    /// ETXTBSY if the pages are mapped under another node; else the file system's error.
    pub(super) fn begin<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        loss: Loss,
    ) -> io::Result<Losing> {
        let (attr, _) = fs.getattr(context, F::Inode::from(node.0), None)?;
        let losing = self
            .mapped
            .start_to_lose(attr.ino, FileKey::numbered(node.0));
        if !losing.may_concern_another() {
            return Ok(losing);
        }
        let (device, size) = with_file(fs, context, node, libc::O_PATH, device_and_size)?;
        let kept = match loss {
            Loss::To(size) => size,
            Loss::Of(bytes) => size.saturating_sub(bytes),
        };
        if losing.mapped_elsewhere(device, kept..size).is_none() {
            return Ok(losing);
        }
        self.log_limit.warn(format_args!(
            "node {} keeps its size of {size} bytes: the same file is mapped by another mount of it",
            node.0
        ));
        Err(io::Error::from_raw_os_error(IN_USE))
    }
}

fn device_and_size(file: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(file)?;
    Ok((stat.st_dev, stat.st_size.cast_unsigned()))
}
