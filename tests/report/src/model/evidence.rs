// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a cell's outcome rests on.

use serde::{Deserialize, Serialize};

/// What was recorded while a cell ran. A field that does not apply is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// The time line: one line a step, in words, with milliseconds since the cell began.
    pub steps: Vec<String>,
    /// The remover's /proc/PID/stack while it was blocked.
    pub stack: Option<String>,
    /// What proves where the case ran: the mount's line, the file's DAX attribute.
    pub where_it_stood: Vec<String>,
    /// Microseconds from the release, as the server saw it, to the removal's return; one a sample.
    pub wake_us: Vec<u64>,
    /// Microseconds by the guest's clock from the pin's end to the removal's return; one a sample.
    pub wake_guest_us: Vec<u64>,
    /// How often who waited for the page was woken and had to wait on; `None` where nobody waited,
    /// or the kernel can't trace it, which a step then says.
    pub vain_wakeups: Option<u64>,
    /// The guest kernel's log of this cell.
    pub guest_log: String,
    /// The last of the guest's console.
    pub console_tail: String,
    /// Who was proven to own the page's memory when the pin ended; `None` where nobody was.
    pub new_owner: Option<String>,
    /// What was harmed: whose bytes, where, and how they differ.
    pub harm: Option<String>,
}
