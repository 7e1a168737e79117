// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Observations of the guest's kernel: sleeping tasks, and its log.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// Looks for sleeping tasks whose kernel stack has one of some functions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stacks {
    /// Only this process, or all.
    pub pid: Option<u32>,
    /// The functions; none means any stack.
    pub functions: Vec<String>,
}

/// A sleeping task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub pid: u32,
    pub comm: String,
    /// Its state, `S` or `D`.
    pub state: char,
    /// /proc/PID/stack.
    pub stack: String,
}

impl Op for Stacks {
    const NAME: &'static str = "stacks";
    type Yield = Vec<Task>;

    fn run(self, _: &mut HandleTable) -> Result<Vec<Task>, Fault> {
        let pids = match self.pid {
            Some(pid) => vec![pid],
            None => all().map_err(Fault::of("listing /proc"))?,
        };
        Ok(asleep_in(pids, &self.functions).collect())
    }
}

/// All sleeping tasks that have one of these functions in their stack; all, if no function is
/// given.
///
/// # Errors
/// When /proc can't be listed.
pub fn sleepers<F: AsRef<str>>(functions: &[F]) -> std::io::Result<Vec<Task>> {
    // All threads: the thread that faults may not be the process's first.
    let pids = all()?.into_iter().flat_map(threads);
    Ok(asleep_in(pids, functions).collect())
}

fn asleep_in<F: AsRef<str>>(
    pids: impl IntoIterator<Item = u32>,
    functions: &[F],
) -> impl Iterator<Item = Task> {
    pids.into_iter().filter_map(sleeping).filter(|task| {
        let has = |function: &F| task.calls(function.as_ref());
        functions.is_empty() || functions.iter().any(has)
    })
}

impl Task {
    /// The functions it is in, the innermost first.
    pub fn functions(&self) -> impl Iterator<Item = &str> {
        functions(&self.stack)
    }

    /// Whether this very function is in its stack.
    pub fn calls(&self, function: &str) -> bool {
        calls(&self.stack, function)
    }
}

/// Whether a stack has a frame of this very function: `[<0>] NAME+0x12/0x34`, with the compiler's
/// own suffixes (`.isra.0`, `.constprop.0`).
fn calls(stack: &str, function: &str) -> bool {
    functions(stack).any(|symbol| symbol.split('.').next() == Some(function))
}

fn functions(stack: &str) -> impl Iterator<Item = &str> {
    stack.lines().map(|line| {
        let frame = line.rsplit("] ").next().unwrap_or_default();
        frame.split('+').next().unwrap_or_default()
    })
}

fn all() -> std::io::Result<Vec<u32>> {
    numbers_in("/proc")
}

/// None of a process that has just ended.
fn threads(pid: u32) -> Vec<u32> {
    numbers_in(&format!("/proc/{pid}/task")).unwrap_or_default()
}

fn numbers_in(dir: &str) -> std::io::Result<Vec<u32>> {
    let entries = fs::read_dir(dir)?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.collect())
}

/// The task, if it sleeps now: the stack of a running task means nothing.
fn sleeping(pid: u32) -> Option<Task> {
    let stack = fs::read_to_string(format!("/proc/{pid}/stack")).ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, fields) = stat.rsplit_once(") ")?;
    let state = fields.chars().next()?;
    let comm = head.split_once('(')?.1.to_owned();
    ['S', 'D', 'I'].contains(&state).then_some(Task {
        pid,
        comm,
        state,
        stack,
    })
}

/// The file that lets Linux repeat warnings that it prints only once; it exists only with debugfs.
const CLEAR_WARN_ONCE: &str = "/sys/kernel/debug/clear_warn_once";

/// Takes the kernel's log since it was last taken, and lets it warn anew.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KernelLog {}

impl Op for KernelLog {
    const NAME: &'static str = "kernel-log";
    type Yield = String;

    fn run(self, _: &mut HandleTable) -> Result<String, Fault> {
        /// SYSLOG_ACTION_READ_CLEAR of syslog(2).
        const READ_CLEAR: libc::c_int = 4;
        let mut buffer = vec![0_u8; 1 << 20];
        let len = libc::c_int::try_from(buffer.len()).expect("it is small");
        // SAFETY: the kernel writes at most `len` bytes to the buffer.
        let read = unsafe { libc::klogctl(READ_CLEAR, buffer.as_mut_ptr().cast(), len) };
        // A warning that is printed once in each boot would be missed by all cases but one.
        fs::write(CLEAR_WARN_ONCE, "1").ok();
        let read = usize::try_from(read)
            .map_err(|_| std::io::Error::last_os_error())
            .map_err(Fault::of("reading the kernel's log"))?;
        Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_its_whole_name() {
        let stack = "[<0>] fuse_wait_dax_page+0x1d/0x60\n\
                     [<0>] fuse_dax_break_layouts.isra.0+0x8c/0x1f0\n";
        assert!(calls(stack, "fuse_dax_break_layouts"));
        assert!(calls(stack, "fuse_wait_dax_page"));
        assert!(!calls(stack, "dax_break_layouts"));
        assert!(!calls(stack, "fuse_dax"));
    }
}
