// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Invalid virtqueues: loops, overlaps, huge lengths, addresses outside of memory, nested indirect
//! tables, indices that run ahead, and a front end that stops, moves and resets the queue or
//! removes memory between kicks.
//!
//! Checked: every kick ends within the time limit of an input; each request that was taken off the
//! ring is put on the used ring, or counted as lost; none is in flight between kicks; no access is
//! out of guest memory (guard areas, and a sanitizer). See also [`crate::oracles`] and
//! [`crate::fixture`].

mod machine;
mod seeds;

use std::sync::Arc;

use shared_window::{DirectViews, ProcessWindow};
use virtiofs_daxd::fuzzing::FuzzedQueue;
use virtiofsd::passthrough::PassthroughFs;

use super::{Target, noticed};
use crate::fault::Fault;
use crate::fixture::{self, Fixture};
use crate::guest::fs::Options;
use crate::input::{Bytes, Program, decode};
use crate::oracles;

use machine::Machine;

crate::operations! {
    /// A guest address: a meaningful place, and an offset from there.
    pub(super) struct Place {
        /// The index in `machine::PLACES`.
        near: u8,
        /// The offset in bytes.
        offset: i16,
    }
}

crate::operations! {
    /// The operations of a guest and its front end.
    pub(super) enum Operation {
        /// Serves what is available.
        Kick {},
        /// Writes a descriptor of the queue's table.
        Describe { index: u8, at: Place, len: u16, flags: u8, next: u8 },
        /// Writes a descriptor of the indirect table.
        DescribeIndirect { index: u8, at: Place, len: u16, flags: u8, next: u8 },
        /// Sets a descriptor's length to any value.
        Lengthen { index: u8, len: u32 },
        /// Makes a chain available.
        Offer { head: u8 },
        /// Makes a head available that does not fit into a byte.
        OfferAny { head: u16 },
        /// Writes the available index.
        Available { index: u16 },
        /// Writes the available ring's flags.
        AvailableFlags { flags: u16 },
        /// Writes the used index at which the guest wants an interrupt.
        UsedEvent { index: u16 },
        /// Writes to any address.
        Poke { at: Place, bytes: Bytes },
        /// Stops the queue, as `GET_VRING_BASE` does.
        Stop {},
        /// Starts the queue where it was.
        Resume {},
        /// Starts the queue at other addresses.
        Start { size: u16, table: Place, avail: Place, used: Place, base: u16 },
        /// Resets the device.
        Reset {},
        /// Enables or disables the queue.
        Enable { enabled: u8 },
        /// Negotiates the event index.
        EventIndex { enabled: u8 },
        /// Replaces the table of memory regions.
        Memory { kind: u8 },
        /// Starts or ends a migration.
        Logging { enabled: u8 },
    }
}

crate::operations! {
    /// The life of a queue.
    pub(super) struct Input {
        /// The daemon's options.
        options: Options,
        /// The operations.
        program: Program<Operation>,
    }
}

/// The target.
pub(super) const TARGET: Target = Target {
    name: "virtqueue",
    run,
    seeds: seeds::seeds,
    faults: &[
        noticed(Fault::ReadOutside, "lookup", "files outside the share"),
        noticed(Fault::LoseReply, "lookup", "were lost or abandoned"),
    ],
};

type Device = FuzzedQueue<PassthroughFs, Arc<ProcessWindow>, DirectViews>;

/// Plays an input.
fn run(data: &[u8]) {
    let Some(input) = decode::<Input>(data) else {
        return;
    };
    oracles::judge(|| fixture::run(|fixture| play(fixture, &input)));
}

fn play(fixture: &Fixture, input: &Input) {
    Machine::with(|machine| {
        machine.start_anew();
        let device = super::fuse_chain::device(fixture, &input.options, machine.memory());
        machine.attach(&device);
        let chroot = fixture.enter_chroot();
        for operation in &input.program.0 {
            machine.perform(&device, operation);
        }
        machine.perform(&device, &Operation::Kick {});
        drop(device);
        drop(chroot);
    });
}
