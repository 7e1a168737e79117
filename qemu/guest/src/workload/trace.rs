// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What Linux's driver does with its window, by probes on its functions.
//!
//! The task shows how a range was removed: the worker is a kernel thread, and other tasks remove a
//! range themselves, inline (files of a turn stay open, so none is evicted). A kernel without
//! probes, or whose compiler has inlined the functions, can't count; that is no error.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::Counts;

/// Where tracefs is mounted.
pub const TRACEFS: &str = "/sys/kernel/tracing";
/// A private trace buffer.
const INSTANCE: &str = "/sys/kernel/tracing/instances/reclaim";
/// Of each processor. An event takes some 50 bytes.
const BUFFER_KIB: &str = "2048";
/// Our probes: name, and where. The second argument of the last points to the number of ranges.
const PROBES: [(&str, &str); 2] = [
    ("set_up", "fuse_setup_one_mapping"),
    ("removed", "fuse_send_removemapping count=+0(%si):u32"),
];

/// Begins to count from nothing. False if this kernel can't tell.
pub(super) fn begin() -> bool {
    tried_begin().is_ok()
}

fn tried_begin() -> io::Result<()> {
    if !Path::new(INSTANCE).exists() {
        for (name, place) in PROBES {
            let mut events = fs::OpenOptions::new()
                .append(true)
                .open(format!("{TRACEFS}/kprobe_events"))?;
            events.write_all(format!("p:reclaim/{name} {place}\n").as_bytes())?;
        }
        fs::create_dir(INSTANCE)?;
        set("buffer_size_kb", BUFFER_KIB)?;
        set("events/reclaim/enable", "1")?;
    }
    set("tracing_on", "1")?;
    // To open it for writing empties it.
    set("trace", "")
}

/// What has been counted so far; none where the kernel can't tell, or has lost something.
pub(super) fn counts() -> Option<Counts> {
    counted(&fs::read_to_string(format!("{INSTANCE}/trace")).ok()?)
}

fn set(file: &str, value: &str) -> io::Result<()> {
    fs::write(format!("{INSTANCE}/{file}"), value)
}

/// Counts in the text of a trace.
fn counted(trace: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    for line in trace.lines() {
        if let Some(rest) = line
            .trim_start()
            .strip_prefix("# entries-in-buffer/entries-written:")
        {
            let (kept, written) = rest.trim().split_once('/')?;
            if Some(kept) != written.split_whitespace().next() {
                return None;
            }
        }
        let Some((head, tail)) = line.split_once(": (") else {
            continue;
        };
        match head.rsplit_once(' ')?.1 {
            "set_up" => counts.set_up += 1,
            "removed" => {
                let (_, count) = tail.rsplit_once("count=")?;
                let count = count.trim().parse::<u64>().ok()?;
                counts.removed += count;
                match line.trim_start().starts_with("kworker/") {
                    true => counts.worker += count,
                    false => counts.inline += count,
                }
            }
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 6.12 writes it.
    const TRACE: &str = "# tracer: nop
#
# entries-in-buffer/entries-written: 4/4   #P:2
#
   guest-worker-90      [001] ...1.    10.100000: set_up: (fuse_setup_one_mapping+0x4/0x2c0 [fuse])
   guest-worker-90      [001] ...1.    10.200100: removed: (fuse_send_removemapping+0x0/0x110 [fuse]) count=1
     kworker/1:2-57      [001] ...1.    10.300100: removed: (fuse_send_removemapping+0x0/0x110 [fuse]) count=1
              sh-91      [000] ...1.    10.400000: removed: (fuse_send_removemapping+0x0/0x110 [fuse]) count=40
";

    #[test]
    fn events_are_counted_by_who_they_are_of() {
        let wanted = Counts {
            set_up: 1,
            removed: 42,
            inline: 41,
            worker: 1,
        };
        assert_eq!(counted(TRACE), Some(wanted));
        assert_eq!(counted(""), Some(Counts::default()));
    }

    #[test]
    fn a_trace_with_losses_tells_nothing() {
        assert_eq!(counted(&TRACE.replace("4/4", "4/5")), None);
    }
}
