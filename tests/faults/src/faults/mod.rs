// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The faults, a file for each family, each with its table.

mod channel;
pub mod control;
pub mod host_fs;
mod host_full;
mod host_slow;
pub mod shmem;
mod signals;
mod vmm_gone;

use crate::escapes;
use crate::fault::Fault;

/// The families' tables.
const FAMILIES: &[&[Fault]] = &[
    shmem::FAULTS,
    channel::FAULTS,
    vmm_gone::FAULTS,
    control::FAULTS,
    host_fs::FAULTS,
    host_full::FAULTS,
    signals::FAULTS,
    escapes::FAULTS,
];

/// All faults.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    FAMILIES.iter().copied().flatten()
}
