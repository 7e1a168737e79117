// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Who sleeps where, when accesses have come to a standstill.

use guest_agent::files;

use super::Fault;
use crate::work::Blocked;

/// What a task is in that uses the window or reclaims it. Some of them may be inlined: the names
/// overlap on purpose.
const OF_THE_WINDOW: [&str; 6] = [
    "fuse_dax_free_mem_worker",
    "fuse_dax_break_layouts",
    "__fuse_dax_fault",
    "fuse_iomap_begin",
    "fuse_dax_read_iter",
    "fuse_dax_write_iter",
];

/// The tasks that sleep in Linux's DAX code for FUSE; one for those that sleep at the same place.
pub(super) fn sleepers() -> Result<Vec<Blocked>, Fault> {
    let asleep = files::sleepers(&OF_THE_WINDOW).map_err(Fault::of("listing /proc"))?;
    Ok(Blocked::each_place(asleep.into_iter().map(|task| {
        Blocked {
            stack: task.functions().map(str::to_owned).collect(),
            comm: task.comm,
        }
    })))
}
