// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's caches.

use std::fs;

use super::Fault;

const DROP: &str = "/proc/sys/vm/drop_caches";

/// Writes back everything, and forgets pages, names and inodes that nobody uses. An inode that goes
/// takes its ranges of the window with it.
pub(super) fn drop_all() -> Result<(), Fault> {
    rustix::fs::sync();
    fs::write(DROP, "3").map_err(Fault::of(DROP))
}
