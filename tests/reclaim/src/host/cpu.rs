// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Processor time and memory of a process and of all that it has forked.

use std::fs;
use std::time::Duration;

use virtiofs_driver::daemon::{DaemonError, Process, Usage};

/// A process and its descendants.
#[derive(Clone, Debug)]
pub struct Family(Vec<Process>);

impl Family {
    /// Those that there are now.
    pub fn of(pid: u32) -> Self {
        let all: Vec<Process> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
            .collect();
        let mut family: Vec<Process> = Vec::new();
        let mut generation = vec![pid as i32];
        while let Some(pid) = generation.pop() {
            let of = all.iter().filter(|one| one.parent == pid);
            generation.extend(of.map(|one| one.pid));
            family.extend(all.iter().find(|one| one.pid == pid).cloned());
        }
        Self(family)
    }

    /// What all of them have taken so far. One that has ended counts no more.
    pub fn cpu(&self) -> Duration {
        self.0.iter().filter_map(|process| process.cpu().ok()).sum()
    }

    /// What each of them uses.
    ///
    /// # Errors
    ///
    /// If one has ended.
    pub fn usage(&self) -> Result<Usage, DaemonError> {
        let all: Result<_, _> = self.0.iter().map(Process::usage).collect();
        Ok(Usage(all?))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A process by its number (proc_pid_stat(5)).
fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses, and may have some in it.
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
    use std::process::Command;

    use super::*;

    #[test]
    fn children_belong_to_it() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60 & read x"])
            .stdin(std::process::Stdio::piped())
            .process_group_of_its_own()
            .spawn()
            .unwrap();
        let count = || Family::of(shell.id()).len();
        let began = std::time::Instant::now();
        while count() < 3 {
            assert!(began.elapsed() < Duration::from_secs(20), "{}", count());
        }
        let group = rustix::process::Pid::from_child(&shell);
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
        assert!(Family::of(shell.id()).is_empty());
    }

    trait OwnGroup {
        fn process_group_of_its_own(&mut self) -> &mut Self;
    }

    impl OwnGroup for Command {
        fn process_group_of_its_own(&mut self) -> &mut Self {
            std::os::unix::process::CommandExt::process_group(self, 0)
        }
    }

    #[test]
    fn work_takes_time() {
        let own = Family::of(std::process::id());
        let before = own.cpu();
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(100) {
            std::hint::black_box(0);
        }
        assert!(own.cpu() - before > Duration::from_millis(10));
    }
}
