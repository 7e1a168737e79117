// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's memory: memfds, mapped here and in the daemon.

mod buffer;
mod free;
mod region;

use std::io;

use thiserror::Error;
use vm_memory::GuestAddress;

pub use buffer::{GuestBuffer, GuestSpan};
pub use region::Region;

/// Errors of guest memory.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum MemoryError {
    /// The memory could not be made.
    #[error("could not make {size:#x} bytes of guest memory")]
    Create {
        size: usize,
        #[source]
        source: io::Error,
    },
    /// The memory could not be mapped.
    #[error("could not map {size:#x} bytes of guest memory")]
    Map {
        size: usize,
        #[source]
        source: vm_memory::mmap::MmapRegionError,
    },
    /// No free range is long enough.
    #[error(
        "no {len:#x} bytes of guest memory are free in one piece (Options::memory sets the size)"
    )]
    Exhausted { len: usize },
    /// A range is not in the region or the buffer.
    #[error("{len:#x} bytes at {at:#x} are not within {size:#x} bytes of guest memory")]
    Outside { at: usize, len: usize, size: usize },
    /// An address is not in the region.
    #[error("guest address {0:#x} is not in this region", at.0)]
    NoSuchAddress { at: GuestAddress },
}
