// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM's half of the DAX window: a reserved range, its mappings, and the rules for them.
//!
//! - [`Rules`] define the VMM's behaviour; [`Rules::qemu`] is QEMU 11.1.
//! - [`Script`] overrides the rules for single requests.
//! - [`Window`] is the guest's view, and answers a test's questions.

mod access;
mod action;
mod commit;
mod gate;
mod reservation;
mod rules;
mod table;
mod view;
mod vmm;

use std::io;

use thiserror::Error;

use crate::units::WindowOffset;

pub use action::{Action, Call, CallKind, Script};
pub use gate::Gate;
pub use rules::{
    Acknowledge, BeyondLimit, EmptyFile, MainLoop, Overlap, ReadOnly, Rules, SizeCheck, Told, Unmap,
};
pub use table::{Mapping, Violation};
pub use view::{Window, WindowStats};

pub(crate) use commit::Announce;
pub(crate) use gate::Held;
pub(crate) use vmm::Vmm;

/// Errors of the guest's use of the window.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum WindowError {
    /// The range could not be reserved.
    #[error("could not reserve {size:#x} bytes of address space for the window")]
    Reserve {
        size: u64,
        #[source]
        source: io::Error,
    },
    /// The range is not in the window.
    #[error("{len:#x} bytes at {at} are not within a window of {size:#x} bytes")]
    Outside {
        at: WindowOffset,
        len: usize,
        size: u64,
    },
    /// Nothing is mapped at an offset of the range. A guest of QEMU would read zeros there.
    #[error("nothing is mapped at {at}")]
    Hole { at: WindowOffset },
    /// The mapping has no page of the file behind it: SIGBUS, which ends QEMU.
    #[error("the file behind the mapping has no page for {at}")]
    LostPage { at: WindowOffset },
    /// The system call failed with another error.
    #[error("could not access {len:#x} bytes at {at}")]
    Access {
        at: WindowOffset,
        len: usize,
        #[source]
        source: io::Error,
    },
}
