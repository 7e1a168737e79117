// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why a mapping was not set up: for the guest, for the log, and for the counters.

use std::io;

use shared_window::WindowError;

use crate::fs::{NodeId, is_trouble};
use crate::metrics::Refusal;

/// Why a mapping was not set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// The file cannot be opened for reading and writing. QEMU would not enforce a mapping for
    /// reading only.
    #[error("node {} cannot be opened for the window", .node.0)]
    Open {
        /// The file.
        node: NodeId,
        /// The file system's error.
        #[source]
        source: io::Error,
    },
    /// The window was cleared after the guest's request.
    #[error("node {} was asked for before the window was cleared", .node.0)]
    Cleared {
        /// The file.
        node: NodeId,
    },
    /// The window's address is unknown, or the VMM is not known to leave a file as it is.
    #[error("node {} is not mapped: the window can't be used, for the reason logged at the mount", .node.0)]
    Unusable {
        /// The file.
        node: NodeId,
    },
    /// The window or the VMM refused.
    #[error("node {} cannot be mapped", .node.0)]
    Window {
        /// The file.
        node: NodeId,
        /// The window's error.
        #[source]
        source: WindowError,
    },
}

impl SetupError {
    /// The error for the guest.
    pub(crate) fn errno(&self) -> i32 {
        match self {
            Self::Open { source, .. } if is_trouble(source) => libc::EIO,
            // EROFS, ETXTBSY and similar errors would puzzle a program that reads a mapping.
            Self::Open { .. } => libc::EACCES,
            Self::Cleared { .. } => libc::EIO,
            Self::Unusable { .. } => libc::ENOBUFS,
            Self::Window { source, .. } => source.errno(),
        }
    }
}

impl From<&SetupError> for Refusal {
    fn from(error: &SetupError) -> Self {
        match error {
            SetupError::Open { .. } | SetupError::Cleared { .. } => Self::Open,
            SetupError::Unusable { .. } => Self::RegionBudget,
            SetupError::Window { source, .. } => match source {
                WindowError::View(_) | WindowError::NotWritable(_) | WindowError::LosingPages => {
                    Self::View
                }
                WindowError::NoRegionLeft { .. } | WindowError::NoRangeLeft { .. } => {
                    Self::RegionBudget
                }
                WindowError::Overlap { .. } => Self::Overlap,
                WindowError::Indeterminate { .. } => Self::Indeterminate,
                WindowError::Vmm(_) => Self::Vmm,
                WindowError::OutOfBounds { .. }
                | WindowError::FileOffsetTooLarge { .. }
                | WindowError::Misaligned { .. }
                | WindowError::Unknown(_)
                | WindowError::Partial { .. } => Self::Bounds,
            },
        }
    }
}
