// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Errors of requests to the window, and the errno for the guest.

use std::io;

use thiserror::Error;

use crate::units::{Access, FileOffset, WindowOffset, WindowRange, WindowSize};
use crate::view::ViewError;
use crate::vmm::VmmError;

/// Why a mapping was not set up or not removed.
#[derive(Debug, Error)]
pub enum WindowError {
    /// The guest's range is empty or does not lie within the window.
    #[error("{len:#x} bytes at {window} are not within the window of {:#x} bytes", size.bytes())]
    OutOfBounds {
        /// The beginning of the range.
        window: WindowOffset,
        /// Its length in bytes.
        len: u64,
        /// The size of the window.
        size: WindowSize,
    },
    /// The guest's file range ends behind the largest file offset.
    #[error("{len:#x} bytes at {file} end beyond the largest file offset")]
    FileOffsetTooLarge {
        /// The offset into the file.
        file: FileOffset,
        /// The length in bytes.
        len: u64,
    },
    /// The guest's offsets or length are no multiples of the page size.
    #[error("{window}, {file} and length {len:#x} are not all multiples of the page size")]
    Misaligned {
        /// The offset into the window.
        window: WindowOffset,
        /// The offset into the file.
        file: FileOffset,
        /// The length in bytes.
        len: u64,
    },
    /// The range shares bytes with a live mapping of another range.
    #[error("{asked} overlaps the mapping of {live}")]
    Overlap {
        /// The requested range.
        asked: WindowRange,
        /// The live mapping that it overlaps.
        live: WindowRange,
    },
    /// Nothing is mapped in a range that the guest wants to remove.
    #[error("nothing is mapped in {0}")]
    Unknown(WindowRange),
    /// A range that the guest wants to remove cuts a mapping in two.
    #[error("{asked} is only a part of the mapping of {live}")]
    Partial {
        /// The range to be removed.
        asked: WindowRange,
        /// The mapping that it would cut.
        live: WindowRange,
    },
    /// The view or the existing mapping allows no stores, and either the VMM is not known to
    /// enforce read-only mappings, or the guest wants to store.
    #[error("the mapping would have to allow stores, and the file's view allows {0:?} access")]
    NotWritable(Access),
    /// The virtual machine has no region left for one more mapping.
    #[error("the virtual machine has {in_use} memory regions in use, of {limit}")]
    NoRegionLeft {
        /// The regions in use.
        in_use: usize,
        /// The number from which mappings are refused.
        limit: usize,
    },
    /// The guest has as many ranges mapped as it may.
    #[error("the window has {limit} ranges mapped, which is its limit")]
    NoRangeLeft {
        /// The number from which mappings are refused.
        limit: usize,
    },
    /// The file is losing pages through another of the server's names for it, and that does not
    /// end.
    #[error("a truncation of the file through another mount of it has taken too long")]
    LosingPages,
    /// An earlier request of this range failed in a way that left its state unknown, and the VMM
    /// still does not unmap it.
    #[error(
        "it is not known whether the VMM has a mapping of {range}, and the VMM does not unmap it"
    )]
    Indeterminate {
        /// The range whose state is unknown.
        range: WindowRange,
        /// The VMM's answer to the last attempt to unmap it.
        #[source]
        source: VmmError,
    },
    /// There is no view of the file.
    #[error("the file can't be viewed")]
    View(#[from] ViewError),
    /// The VMM failed to map or unmap.
    #[error("the VMM failed")]
    Vmm(#[from] VmmError),
}

impl WindowError {
    /// The error number for the guest, positive, as FUSE wants it (negated) in a reply.
    ///
    /// | number | meaning |
    /// |---|---|
    /// | EINVAL | the request makes no sense: bounds, alignment, an unknown or partial removal |
    /// | ETXTBSY | the file is losing pages by an operation on another node, which does not end |
    /// | EBUSY | a live mapping of another range is in the way |
    /// | EACCES | the file may not be written, so it can't be mapped |
    /// | ENOBUFS | the machine has no region left, or the window no range; it works again after a removal |
    /// | EOPNOTSUPP | this file can't be mapped, now or later |
    /// | EIO | the VMM or the server of views failed |
    ///
    /// Other errnos for a missing region would mislead. ENOSPC tells an application that the disk
    /// is full. EAGAIN makes a Linux guest wait for a free range, of which it has plenty
    /// (`fuse_dax_fault`). ENOMEM makes it retry a page fault without end (`vmf_error`).
    pub fn errno(&self) -> i32 {
        match self {
            Self::OutOfBounds { .. }
            | Self::FileOffsetTooLarge { .. }
            | Self::Misaligned { .. }
            | Self::Unknown(_)
            | Self::Partial { .. } => libc::EINVAL,
            Self::Overlap { .. } => libc::EBUSY,
            Self::LosingPages => libc::ETXTBSY,
            Self::NotWritable(_) | Self::View(ViewError::NotAllowed(_)) => libc::EACCES,
            Self::NoRegionLeft { .. } | Self::NoRangeLeft { .. } => libc::ENOBUFS,
            Self::View(
                ViewError::Unavailable(_)
                | ViewError::NotRegular
                | ViewError::NotStored
                | ViewError::StackedTooDeep
                | ViewError::Unsupported(_),
            ) => libc::EOPNOTSUPP,
            Self::Indeterminate { .. } | Self::View(_) | Self::Vmm(_) => libc::EIO,
        }
    }

    /// Whether the VMM can't be reached any more, or never could: no later request will succeed on
    /// this channel.
    pub fn is_loss_of_vmm(&self) -> bool {
        let (Self::Vmm(error) | Self::Indeterminate { source: error, .. }) = self else {
            return false;
        };
        match error {
            VmmError::NoChannel | VmmError::NotNegotiated { .. } | VmmError::Channel { .. } => true,
            VmmError::Refused { .. } | VmmError::NotMapped { .. } => false,
        }
    }
}

impl From<WindowError> for io::Error {
    /// Keeps the errno and drops the details, which are not for the guest.
    fn from(error: WindowError) -> Self {
        Self::from_raw_os_error(error.errno())
    }
}
