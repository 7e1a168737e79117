// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM's half of the DAX window: a reserved range, what is mapped in it, and by which rules.
//!
//! - [`Rules`] say how the VMM behaves; [`Rules::qemu`] is QEMU 11.1.
//! - [`Script`] makes it behave otherwise at single requests.
//! - [`Window`] is what the guest sees, and what a test asks about.

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

/// What can go wrong when the guest uses the window.
#[derive(Debug, Error)]
pub enum WindowError {
    /// The range could not be reserved.
    #[error("could not reserve {size:#x} bytes of address space for the window")]
    Reserve {
        /// The window's size.
        size: u64,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The range is not in the window.
    #[error("{len:#x} bytes at {at} are not within a window of {size:#x} bytes")]
    Outside {
        /// Where it begins.
        at: WindowOffset,
        /// Its length.
        len: usize,
        /// The window's size.
        size: u64,
    },
    /// Nothing is mapped at a place in the range. A guest of QEMU would read zeros there.
    #[error("nothing is mapped at {at}")]
    Hole {
        /// The first such place.
        at: WindowOffset,
    },
    /// There is a mapping, but no page of the file behind it: SIGBUS, which ends QEMU.
    #[error("the file behind the mapping has no page for {at}")]
    LostPage {
        /// The first such place.
        at: WindowOffset,
    },
    /// The system call failed otherwise.
    #[error("could not access {len:#x} bytes at {at}")]
    Access {
        /// Where it begins.
        at: WindowOffset,
        /// Its length.
        len: usize,
        /// Why not.
        #[source]
        source: io::Error,
    },
}
