// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The faults: one file for each family, each with its table.

mod channel;
pub mod control;
mod host_disk;
pub mod host_fs;
mod host_full;
mod host_look;
mod host_mounts;
mod host_privileges;
mod host_share;
mod host_slow;
mod host_space;
mod host_time;
mod host_truncate;
mod oracle;
mod reached;
mod restart;
pub mod shmem;
mod signals;
mod two_mounts;
mod vmm_gone;
mod vmm_killed;

use crate::escapes;
use crate::fault::Fault;

/// The families' tables.
const FAMILIES: &[&[Fault]] = &[
    shmem::FAULTS,
    channel::FAULTS,
    vmm_gone::FAULTS,
    vmm_killed::FAULTS,
    control::FAULTS,
    host_fs::FAULTS,
    host_disk::FAULTS,
    host_full::FAULTS,
    host_look::FAULTS,
    host_mounts::FAULTS,
    host_privileges::FAULTS,
    host_share::FAULTS,
    host_space::FAULTS,
    host_time::FAULTS,
    two_mounts::FAULTS,
    host_truncate::FAULTS,
    signals::FAULTS,
    restart::FAULTS,
    oracle::FAULTS,
    escapes::FAULTS,
];

/// All faults.
pub fn all() -> impl Iterator<Item = &'static Fault> {
    FAMILIES.iter().copied().flatten()
}
