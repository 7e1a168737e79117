// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Counts how often a task goes to sleep in a function, by the guest kernel's trace.
//!
//! A woken task checks its condition, and goes to sleep again if the condition does not hold yet.
//! So if the task sleeps already when the trace begins, each further sleep at the same place is a
//! spurious wake-up.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// Where the rig mounts tracefs.
pub const TRACEFS: &str = "/sys/kernel/tracing";
/// A private trace buffer.
const INSTANCE: &str = "/sys/kernel/tracing/instances/daxlab";
const SWITCH: &str = "events/sched/sched_switch";

/// Begins to trace a task, from an empty buffer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TraceSleeps {
    pub pid: u32,
}

impl Op for TraceSleeps {
    const NAME: &'static str = "trace-sleeps";
    type Yield = ();

    fn run(self, _: &mut HandleTable) -> Result<(), Fault> {
        if !Path::new(INSTANCE).exists() {
            fs::create_dir(INSTANCE).map_err(Fault::of("making a trace buffer"))?;
            set("trace_options", "stacktrace")?;
        }
        set("tracing_on", "0")?;
        // To open it for writing empties it.
        set("trace", "")?;
        // A woken task and a preempted one are both in state R.
        set(
            &format!("{SWITCH}/filter"),
            &format!("prev_pid == {} && prev_state != 0", self.pid),
        )?;
        // The event stays enabled: to patch the kernel's text in each case takes longer than the
        // case.
        set(&format!("{SWITCH}/enable"), "1")?;
        set("tracing_on", "1")
    }
}

/// Ends the trace. Returns how often the task went to sleep in one of some functions since.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TracedSleeps {
    pub pid: u32,
    pub functions: Vec<String>,
}

impl Op for TracedSleeps {
    const NAME: &'static str = "traced-sleeps";
    type Yield = u64;

    fn run(self, _: &mut HandleTable) -> Result<u64, Fault> {
        set("tracing_on", "0")?;
        let trace = fs::read_to_string(format!("{INSTANCE}/trace"));
        let trace = trace.map_err(Fault::of("reading the trace"))?;
        Ok(sleeps(&trace, self.pid, &self.functions))
    }
}

fn set(file: &str, value: &str) -> Result<(), Fault> {
    let written: io::Result<()> = fs::write(format!("{INSTANCE}/{file}"), value);
    written.map_err(Fault::of(format!(
        "writing {value:?} to the trace's {file}"
    )))
}

/// Counts in the text of a trace. Each switch away from the task has a line for the event, then a
/// line for each frame of its stack.
fn sleeps(trace: &str, pid: u32, functions: &[String]) -> u64 {
    let is_sleep = |line: &str| {
        let field = |key: &str| {
            let at = line.find(key)? + key.len();
            line[at..].split_whitespace().next()
        };
        field(" prev_pid=") == Some(&pid.to_string())
            && field(" prev_state=").is_some_and(|state| ["S", "D"].contains(&state))
    };
    let mut lines = trace.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if !is_sleep(line)
            || lines
                .next_if(|line| line.ends_with("<stack trace>"))
                .is_none()
        {
            continue;
        }
        let mut stack = Vec::new();
        while let Some(frame) = lines.next_if(|line| line.starts_with(" => ")) {
            stack.push(function(frame));
        }
        if sleeps_in(&stack, functions) {
            count += 1;
        }
    }
    count
}

/// The function of a frame: ` => ext4_break_layouts.isra.0 [ext4]`.
fn function(frame: &str) -> &str {
    let symbol = frame.trim_start_matches(" => ");
    let end = symbol.find(|c: char| !c.is_alphanumeric() && c != '_');
    &symbol[..end.unwrap_or(symbol.len())]
}

/// Whether the caller of schedule() is one of the functions, or is called by one just for the
/// sleep. Locks have functions of their own in between: a wait for a lock is another wait.
fn sleeps_in(stack: &[&str], functions: &[String]) -> bool {
    let mut callers = stack
        .iter()
        .skip_while(|frame| **frame != "schedule")
        .skip(1);
    let caller =
        callers.find(|frame| !frame.ends_with("_wait_dax_page") && **frame != "wait_page_idle");
    caller.is_some_and(|caller| functions.iter().any(|function| function == caller))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 6.12 writes it: a sleep for the page, one for a lock within the same function, one of
    /// another task, and the task preempted.
    const TRACE: &str = "\
# tracer: nop
#
           <...>-90      [001] d..2.    10.100000: sched_switch: prev_comm=guest-worker prev_pid=90 prev_prio=120 prev_state=S ==> next_comm=swapper/1 next_pid=0 next_prio=120
           <...>-90      [001] d..2.    10.100010: <stack trace>
 => __traceiter_sched_switch
 => __schedule
 => schedule
 => ext4_wait_dax_page
 => ext4_break_layouts [ext4]
 => ext4_setattr [ext4]
           <...>-90      [001] d..2.    10.200000: sched_switch: prev_comm=guest-worker prev_pid=90 prev_prio=120 prev_state=D ==> next_comm=swapper/1 next_pid=0 next_prio=120
           <...>-90      [001] d..2.    10.200010: <stack trace>
 => __schedule
 => schedule
 => schedule_preempt_disabled
 => rwsem_down_write_slowpath
 => down_write
 => ext4_wait_dax_page
 => ext4_break_layouts [ext4]
           <...>-91      [001] d..2.    10.300000: sched_switch: prev_comm=guest-worker prev_pid=91 prev_prio=120 prev_state=S ==> next_comm=x next_pid=90 next_prio=120
           <...>-91      [001] d..2.    10.300010: <stack trace>
 => schedule
 => ext4_break_layouts [ext4]
           <...>-90      [001] d..2.    10.400000: sched_switch: prev_comm=guest-worker prev_pid=90 prev_prio=120 prev_state=R+ ==> next_comm=x next_pid=91 next_prio=120
           <...>-90      [001] d..2.    10.400010: <stack trace>
 => schedule
 => ext4_break_layouts [ext4]
";

    #[test]
    fn only_sleeps_of_the_task_for_the_page_count() {
        let functions = ["ext4_break_layouts", "fuse_dax_break_layouts"].map(str::to_owned);
        assert_eq!(sleeps(TRACE, 90, &functions), 1);
        assert_eq!(sleeps(TRACE, 91, &functions), 1);
        assert_eq!(sleeps(TRACE, 9, &functions), 0);
        assert_eq!(sleeps(TRACE, 90, &functions[1..]), 0);
        assert_eq!(sleeps("", 90, &functions), 0);
    }

    #[test]
    fn a_frame_s_function_has_no_suffix() {
        for frame in [
            " => f_1",
            " => f_1.isra.0",
            " => f_1 [m]",
            " => f_1+0x1d/0x60 [m]",
        ] {
            assert_eq!(function(frame), "f_1");
        }
    }
}
