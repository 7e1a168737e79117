// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests to the window itself, with a VMM and a source of views that fail as the input demands.

use shared_window::Access;

use super::model::action::{Action, Step};
use super::model::plain::{FILES, PAGES};
use super::model::rig::Rig;
use super::model::seams::{self, CallFault, Mutant};
use crate::fault::{self, Fault};

crate::operations! {
    /// The requests to the window; numbers are pages.
    pub(super) enum Ask {
        /// A mapping.
        Setup { at: u8, pages: u8, file: u8, from: u8, flags: u8 },
        /// A removal of a range, and perhaps of one more.
        Remove { at: u8, pages: u8, more_at: u8, more_pages: u8 },
        /// All mappings are removed.
        Clear {},
        /// The guest stores a byte.
        Store { page: u8, byte: u8 },
    }
}

crate::operations! {
    /// A request, and the failures during it.
    pub(super) struct Request {
        /// The request.
        ask: Ask,
        /// The failures of calls to the VMM, three bits each; 0 is a success.
        faults: u16,
        /// Bit 0: no view can be opened; bit 1: no region is left.
        failures: u8,
    }
}

impl Request {
    fn step(&self) -> Step {
        Step {
            action: self.ask.action(),
            faults: self.faults(),
            no_view: self.failures & 1 != 0,
            no_region: self.failures & 2 != 0,
        }
    }

    fn faults(&self) -> Vec<CallFault> {
        let last = (16 - self.faults.leading_zeros()).div_ceil(3);
        let fault = |at: u32| match self.faults >> (3 * at) & 7 {
            1 => CallFault::Refused,
            2 => CallFault::LostBefore,
            3 => CallFault::LostAfter,
            4 => CallFault::Panic,
            _ => CallFault::None,
        };
        (0..last).map(fault).collect()
    }
}

impl Ask {
    fn action(&self) -> Action {
        match *self {
            Self::Setup {
                at,
                pages,
                file,
                from,
                flags,
            } => Action::Setup {
                at: u64::from(at) % (PAGES + 2),
                pages: u64::from(pages) % 5,
                file: usize::from(file) % FILES,
                from: u64::from(from) % 8,
                access: match flags & 1 {
                    0 => Access::ReadOnly,
                    _ => Access::ReadWrite,
                },
                skew: u64::from(flags >> 1) * 32,
            },
            Self::Remove {
                at,
                pages,
                more_at,
                more_pages,
            } => {
                let range = |at: u8, pages: u8| {
                    (u64::from(at) % (PAGES + 2), u64::from(pages) % (PAGES + 3))
                };
                let mut ranges = vec![range(at, pages)];
                if more_pages > 0 {
                    ranges.push(range(more_at, more_pages));
                }
                Action::Remove(ranges)
            }
            Self::Clear {} => Action::Clear,
            Self::Store { page, byte } => Action::Store {
                page: u64::from(page) % PAGES,
                byte,
            },
        }
    }
}

/// Plays requests.
pub(super) fn play(requests: &[Request]) {
    seams::silence_expected_panics();
    let broken = fault::strikes(Fault::ForgetMapping).then_some(Mutant::ALL[0]);
    let mut rig = Rig::new(broken);
    for request in requests {
        let step = request.step();
        if let Err(wrong) = rig.take(&step) {
            panic!("{step:?}: {wrong}");
        }
    }
}
