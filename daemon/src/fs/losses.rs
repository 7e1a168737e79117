// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Operations that take pages from a file which is mapped under another node.
//!
//! A guest's kernel takes its mappings of a file away before it truncates that file. It does so for
//! the node that it truncates. Where the share has two mounts of one file, the guest has two nodes
//! of it, and a mapping of the other one would stay: QEMU ends by SIGBUS when the guest touches it.
//! So the operation is refused (ETXTBSY) as long as such a mapping is there. To remove the mapping
//! instead would leave a hole in a range that the guest still uses, which reads as zeros and drops
//! stores, also when the file has long grown again.
//!
//! Only what makes a file shorter takes pages: SETATTR of a size, O_TRUNC, and FALLOCATE of
//! COLLAPSE_RANGE. A hole that is punched reads as zeros through a mapping, as it should; a copied
//! range shows its new bytes; a file that was replaced or has lost its name keeps its pages.

use std::io;
use std::os::fd::BorrowedFd;

use shared_window::{FileKey, Losing, MappedFiles};
use virtiofsd::filesystem::{Context, FileSystem};

use super::{NodeId, with_file};
use crate::log::LogLimit;

/// What the guest is told: what Linux says of a program that runs, and `--host-truncate` of a mapped
/// file to others.
const IN_USE: i32 = libc::ETXTBSY;

/// What an operation takes from the end of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss {
    /// All behind this many bytes.
    To(u64),
    /// So many bytes.
    Of(u64),
}

/// Keeps operations from taking pages that are mapped under another node.
pub struct Losses {
    mapped: MappedFiles,
    log_limit: LogLimit,
}

impl Losses {
    /// For files that are mapped as `mapped` says.
    #[must_use]
    pub fn new(mapped: &MappedFiles) -> Self {
        Self {
            mapped: mapped.clone(),
            log_limit: LogLimit::default(),
        }
    }

    /// Whether an operation on `node` may go on: as long as it holds what is returned, no other
    /// node of that file is newly mapped.
    ///
    /// # Errors
    /// ETXTBSY if the pages are mapped, else what the file system says about the file.
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
