// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why a mapping was not set up: for the guest, for the log, and for the counters.

use std::io;

use shared_window::{ViewError, VmmError, WindowError};

use crate::fs::{NodeId, is_trouble, is_trouble_with_view};
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

/// What follows from an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The errno for the guest.
    pub(crate) errno: i32,
    /// The counter that it belongs to.
    pub(crate) refusal: Refusal,
    /// The promises that can't be kept.
    pub(crate) broken: Broken,
}

/// The promises of a mapping that can't be kept after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The error concerns only this request (its range, the budget), or will pass.
    None,
    /// The file is at fault.
    File,
    /// The file is at fault, and other files' promises may be outdated, too.
    FileAndLooks,
    /// The VMM refused the file, and may refuse others of its device.
    FileAndDevice,
    /// No file can be mapped without a view of it.
    Views,
    /// Nothing can be mapped any more.
    Channel,
}

impl SetupError {
    /// What follows from it.
    pub(crate) fn verdict(&self) -> Verdict {
        let (errno, refusal, broken) = match self {
            Self::Open { source, .. } if is_trouble(source) => {
                (libc::EIO, Refusal::Open, Broken::None)
            }
            // EROFS, ETXTBSY and similar errors would puzzle a program that reads a mapping.
            Self::Open { source, .. } => {
                // The mount may have become read-only.
                let broken = match source.raw_os_error() {
                    Some(libc::EROFS) => Broken::FileAndLooks,
                    _ => Broken::File,
                };
                (libc::EACCES, Refusal::Open, broken)
            }
            Self::Cleared { .. } => (libc::EIO, Refusal::Open, Broken::None),
            // While this lasts no file is promised anyway.
            Self::Unusable { .. } => (libc::ENOBUFS, Refusal::RegionBudget, Broken::None),
            Self::Window { source, .. } => {
                let (refusal, broken) = of_window(source);
                (source.errno(), refusal, broken)
            }
        };
        Verdict {
            errno,
            refusal,
            broken,
        }
    }
}

fn of_window(error: &WindowError) -> (Refusal, Broken) {
    let broken_channel = match error.is_loss_of_vmm() {
        true => Broken::Channel,
        false => Broken::None,
    };
    match error {
        WindowError::View(ViewError::ServerGone | ViewError::Protocol(_)) => {
            (Refusal::View, Broken::Views)
        }
        WindowError::View(error) if is_trouble_with_view(error) => (Refusal::View, Broken::None),
        WindowError::View(_) | WindowError::NotWritable(_) => (Refusal::View, Broken::File),
        WindowError::LosingPages => (Refusal::View, Broken::None),
        WindowError::NoRegionLeft { .. } | WindowError::NoRangeLeft { .. } => {
            (Refusal::RegionBudget, Broken::None)
        }
        WindowError::Overlap { .. } => (Refusal::Overlap, Broken::None),
        WindowError::Indeterminate { .. } => (Refusal::Indeterminate, broken_channel),
        WindowError::Vmm(VmmError::Refused { .. }) => (Refusal::Vmm, Broken::FileAndDevice),
        WindowError::Vmm(_) => (Refusal::Vmm, broken_channel),
        WindowError::OutOfBounds { .. }
        | WindowError::FileOffsetTooLarge { .. }
        | WindowError::Misaligned { .. }
        | WindowError::Unknown(_)
        | WindowError::Partial { .. } => (Refusal::Bounds, Broken::None),
    }
}
