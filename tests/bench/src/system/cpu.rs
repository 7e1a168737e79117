// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Processor time and memory of a process and all its descendants.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use virtiofs_driver::{
    Daemon,
    daemon::{DaemonError, Process, Usage},
};

/// A process and its descendants.
#[derive(Clone, Debug)]
pub struct ProcessTree(Vec<Process>);

impl ProcessTree {
    /// The present process and its descendants.
    pub fn of(pid: u32) -> Self {
        let all: Vec<Process> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
            .collect();
        let mut tree: Vec<Process> = Vec::new();
        let mut generation = vec![pid as i32];
        while let Some(pid) = generation.pop() {
            let of = all.iter().filter(|one| one.parent == pid);
            generation.extend(of.map(|one| one.pid));
            tree.extend(all.iter().find(|one| one.pid == pid).cloned());
        }
        Self(tree)
    }

    /// The present processes of a daemon.
    pub fn of_daemon(daemon: &Daemon) -> Self {
        Self(daemon.processes())
    }

    /// A single process.
    pub fn single(process: Process) -> Self {
        Self(vec![process])
    }

    /// Their process IDs.
    pub fn pids(&self) -> impl Iterator<Item = i32> {
        self.0.iter().map(|process| process.pid)
    }

    /// Their processor time so far. A process that has ended does not count.
    pub fn cpu(&self) -> Duration {
        self.0.iter().filter_map(|process| process.cpu().ok()).sum()
    }

    /// Their resource use.
    ///
    /// # Errors
    ///
    /// If one has ended.
    pub fn usage(&self) -> Result<Usage, DaemonError> {
        let all: Result<_, _> = self.0.iter().map(Process::usage).collect();
        Ok(Usage(all?))
    }
}

/// The processor time of this process, which is driver and VMM, so far.
pub fn cpu_of_this_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A process by its ID (proc_pid_stat(5)).
fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses, and may contain parentheses itself.
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    Some(Process {
        pid,
        parent: rest.split_whitespace().nth(1)?.parse().ok()?,
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn children_belong_to_it() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & read x"])
            .stdin(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let count = || ProcessTree::of(shell.id()).pids().count();
        let began = std::time::Instant::now();
        while count() < 3 {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", count());
        }
        let group = rustix::process::Pid::from_child(&shell);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
        assert_eq!(ProcessTree::of(shell.id()).pids().count(), 0);
    }

    #[test]
    fn work_takes_time() {
        let own = ProcessTree::of(std::process::id());
        let began = std::time::Instant::now();
        for time in [
            &(|| own.cpu()) as &dyn Fn() -> Duration,
            &cpu_of_this_process,
        ] {
            let before = time();
            while time() - before < Duration::from_millis(50) {
                // Other processes may occupy the processor for a long time.
                assert!(
                    began.elapsed() < Duration::from_secs(60),
                    "work takes no time"
                );
            }
        }
    }
}
