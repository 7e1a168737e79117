// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The interface to the owner of the memory that the guest sees through the window.
//!
//! Two implementations: [`VhostUserShmem`] asks a VMM over the back-end channel of vhost-user,
//! [`ProcessWindow`] maps into memory of this process.
//!
//! The window relies on each implementation for this:
//! - [`Vmm::map`] returns `Ok` only when a load or store of the guest would reach the file.
//! - [`VmmError::effect`] of an error says whether the mapping may exist all the same. "It can't"
//!   is a promise; every uncertain case is [`Effect::Unknown`].
//! - An implementation may forbid a map over a live one, and an unmap of anything but the exact
//!   range of a map. QEMU does both.

mod process;
mod shmem;

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use thiserror::Error;

use crate::units::{Access, FileOffset, WindowOffset};

pub use process::{ProcessWindow, ProcessWindowError};
pub use shmem::{Call, Moment, VhostUserShmem};

/// The owner of the window's memory.
///
/// Calls may block until the VMM has answered. The window serializes them, and never makes one on a
/// thread that the VMM could be waiting for.
pub trait Vmm: Send + Sync {
    /// Maps `len` bytes of `view`, from `from` on, at `at`; returns once the guest can use them.
    ///
    /// # Errors
    /// [`VmmError`], with what is known about the effect.
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError>;

    /// Removes the mapping of exactly this range. `Ok` says that it will go; see [`Vmm::fence`].
    ///
    /// # Errors
    /// [`VmmError`]: the mapping may still exist.
    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError>;

    /// Returns once everything that [`Vmm::unmap`] has acknowledged is in effect. [`Vmm::map`] does
    /// that as well.
    ///
    /// # Errors
    /// [`VmmError`] if the VMM is gone or does not answer as it must.
    fn fence(&self) -> Result<(), VmmError> {
        Ok(())
    }
}

impl<V: Vmm + ?Sized> Vmm for Arc<V> {
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError> {
        (**self).map(at, len, view, from, access)
    }

    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError> {
        (**self).unmap(at, len)
    }

    fn fence(&self) -> Result<(), VmmError> {
        (**self).fence()
    }
}

/// What a failed call may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the window is as before the call.
    Nothing,
    /// Either the requested change, or nothing.
    Unknown,
}

/// Why the VMM did not carry out a request.
#[derive(Debug, Error)]
pub enum VmmError {
    /// No VMM has passed its channel yet, or the channel is gone.
    #[error("no back-end channel to the VMM")]
    NoChannel,
    /// The VMM negotiated less than a window needs.
    #[error("the VMM did not negotiate {feature}, which a window needs")]
    NotNegotiated {
        /// The protocol feature that is missing.
        feature: &'static str,
    },
    /// The VMM refused.
    #[error("the VMM refused to {what} {len:#x} bytes at {at}")]
    Refused {
        /// `map` or `unmap`.
        what: &'static str,
        /// The beginning of the range in question.
        at: WindowOffset,
        /// Its length in bytes.
        len: u64,
        /// The reason, if the VMM gives one.
        #[source]
        reason: Option<ProcessWindowError>,
    },
    /// The VMM answered that nothing is mapped at exactly this range.
    #[error("no mapping is exactly {len:#x} bytes at {at}")]
    NotMapped {
        /// The beginning of the range in question.
        at: WindowOffset,
        /// Its length in bytes.
        len: u64,
    },
    /// The channel broke, or carried something that is no answer.
    #[error("the channel to the VMM failed while it was asked to {what}")]
    Channel {
        /// The request: `map`, `unmap`, or `finish` for the fence.
        what: &'static str,
        /// The error of the channel.
        #[source]
        source: io::Error,
    },
}

impl VmmError {
    /// What the failed call may have changed.
    pub fn effect(&self) -> Effect {
        match self {
            Self::NoChannel
            | Self::NotNegotiated { .. }
            | Self::Refused { .. }
            | Self::NotMapped { .. } => Effect::Nothing,
            Self::Channel { .. } => Effect::Unknown,
        }
    }
}
