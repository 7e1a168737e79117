// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Processes, as /proc shows them.

use std::fs;
use std::path::PathBuf;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process ID.
    pub pid: i32,
    /// The parent's process ID.
    pub parent: i32,
    /// The command name.
    pub name: String,
}

impl Process {
    /// The process with this ID, unless it has ended.
    pub fn find(pid: i32) -> Option<Self> {
        Self::with_group(pid).map(|(process, _)| process)
    }

    /// The processes of a group that have not ended, in the order of their IDs.
    pub fn in_group(group: i32) -> Vec<Self> {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = all.filter_map(|one| one.file_name().to_str()?.parse().ok());
        let processes = numbers.filter_map(Self::with_group);
        let mut found: Vec<_> = processes
            .filter_map(|(process, its_group)| (its_group == group).then_some(process))
            .collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    /// A field of /proc/PID/status at this moment; `None` if the process has ended.
    pub fn status(&self, field: &str) -> Option<String> {
        let status = fs::read_to_string(self.file("status")).ok()?;
        let value = |line: &str| {
            Some(
                line.strip_prefix(field)?
                    .strip_prefix(':')?
                    .trim()
                    .to_owned(),
            )
        };
        status.lines().find_map(value)
    }

    /// Whether it has a thread of this name.
    pub fn has_thread(&self, name: &str) -> bool {
        !self.threads_named(name).is_empty()
    }

    /// The folders in /proc of its threads of this name.
    pub fn threads_named(&self, name: &str) -> Vec<PathBuf> {
        let tasks = fs::read_dir(self.file("task"));
        let paths = tasks
            .into_iter()
            .flatten()
            .flatten()
            .map(|task| task.path());
        let is_named = |path: &PathBuf| {
            let comm = fs::read_to_string(path.join("comm"));
            comm.is_ok_and(|comm| comm.trim_end() == name)
        };
        paths.filter(is_named).collect()
    }

    /// The targets of its descriptors.
    pub fn open_files(&self) -> Vec<String> {
        let descriptors = fs::read_dir(self.file("fd"))
            .into_iter()
            .flatten()
            .flatten();
        descriptors
            .filter_map(|one| fs::read_link(one.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect()
    }

    /// The path of a file in the process's folder in /proc.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// The process and its group, if it is no zombie (proc_pid_stat(5)).
    fn with_group(pid: i32) -> Option<(Self, i32)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses, and may contain parentheses itself.
        let (head, rest) = stat.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let name = name.to_owned();
        (!matches!(state, "Z" | "X")).then_some((Self { pid, parent, name }, group))
    }
}
