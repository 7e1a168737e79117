// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many references the kernel counts to a page that a removal finds busy, by a kprobe at the end
//! of its scan for busy pages.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sleeps::TRACEFS;
use crate::worker::{Fault, HandleTable, Op};

/// A private trace buffer.
const INSTANCE: &str = "/sys/kernel/tracing/instances/daxlab-busy";
/// The probe: the page that the scan returns, and the `_refcount` of its struct page, which is at
/// 0x34 on x86-64 (linux/mm_types.h of 6.1 to 7.3).
const PROBE: &str =
    "r:daxlab/busy dax_layout_busy_page_range page=$retval references=+0x34($retval):s32\n";

/// Begins to record busy pages, from an empty buffer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceBusy {}

impl Op for TraceBusy {
    const NAME: &'static str = "trace-busy";
    type Yield = ();

    fn run(self, _: &mut HandleTable) -> Result<(), Fault> {
        if !Path::new(INSTANCE).exists() {
            let events = format!("{TRACEFS}/kprobe_events");
            let added = OpenOptions::new()
                .append(true)
                .open(&events)
                .and_then(|mut file| file.write_all(PROBE.as_bytes()));
            added.map_err(Fault::of("adding a kprobe"))?;
            fs::create_dir(INSTANCE).map_err(Fault::of("making a trace buffer"))?;
            // The event stays enabled, as that of the sleeps does.
            let enable = fs::write(format!("{INSTANCE}/events/daxlab/busy/enable"), "1");
            enable.map_err(Fault::of("enabling a kprobe"))?;
        }
        // To open it for writing empties it.
        fs::write(format!("{INSTANCE}/trace"), "").map_err(Fault::of("emptying a trace"))
    }
}

/// Returns how many references the last page had that a task has found busy since; `None` if it has
/// found none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BusyReferences {
    pub pid: u32,
}

impl Op for BusyReferences {
    const NAME: &'static str = "busy-references";
    type Yield = Option<i64>;

    fn run(self, _: &mut HandleTable) -> Result<Option<i64>, Fault> {
        let trace = fs::read_to_string(format!("{INSTANCE}/trace"));
        let trace = trace.map_err(Fault::of("reading a trace"))?;
        Ok(last_count(&trace, self.pid))
    }
}

/// The last count in the text of a trace: `COMM-PID [CPU] … busy: (…) page=0x… references=1025`.
fn last_count(trace: &str, pid: u32) -> Option<i64> {
    let task = format!("-{pid}");
    let count = |line: &str| {
        let (head, fields) = line.split_once(" busy: ")?;
        let (name, _) = head.split_once('[')?;
        let field = |key: &str| {
            let value = fields.split_whitespace().find_map(|f| f.strip_prefix(key));
            value.map(str::to_owned)
        };
        if !name.trim_end().ends_with(&task) || field("page=")? == "0x0" {
            return None;
        }
        field("references=")?.parse().ok()
    };
    trace.lines().filter_map(count).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_busy_page_of_the_task_counts() {
        let trace = "# tracer: nop\n\
            \x20    guest-worker-90      [001] ..... 10.1: busy: (ext4_break_layouts+0x1/0x2 <- dax_layout_busy_page_range) page=0xffffea0004208000 references=1025\n\
            \x20    guest-worker-91      [001] ..... 10.2: busy: (ext4_break_layouts+0x1/0x2 <- dax_layout_busy_page_range) page=0xffffea0004208000 references=2\n\
            \x20    guest-worker-90      [001] ..... 10.3: busy: (ext4_break_layouts+0x1/0x2 <- dax_layout_busy_page_range) page=0x0 references=(fault)\n";
        assert_eq!(last_count(trace, 90), Some(1025));
        assert_eq!(last_count(trace, 91), Some(2));
        assert_eq!(last_count(trace, 1), None);
    }
}
