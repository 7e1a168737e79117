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
    /// The processes of a group that have not ended, in the order of their IDs.
    pub(super) fn in_group(group: i32) -> Vec<Self> {
        let Ok(all) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let numbers = all
            .flatten()
            .filter_map(|one| one.file_name().to_str()?.parse().ok());
        let mut found: Vec<_> = numbers.filter_map(|pid| Self::find(pid, group)).collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    /// The path of a file in the process's folder in /proc.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    /// The process, if it is of this group and no zombie (proc_pid_stat(5)).
    fn find(pid: i32, group: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name is in parentheses, and may contain parentheses itself.
        let (head, rest) = stat.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let its_group: i32 = fields.next()?.parse().ok()?;
        let name = name.to_owned();
        (its_group == group && !matches!(state, "Z" | "X")).then_some(Self { pid, parent, name })
    }
}
