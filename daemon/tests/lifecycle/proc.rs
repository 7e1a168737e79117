// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Processes as /proc tells of them.

use std::fs;

/// One process.
#[derive(Debug, Clone)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub name: String,
    status: String,
}

impl Process {
    /// The process, unless it is gone or a zombie.
    pub fn find(pid: i32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name| field(&status, name);
        if field("State")?.starts_with(['Z', 'X']) {
            return None;
        }
        Some(Self {
            pid,
            parent: field("PPid")?.parse().ok()?,
            name: field("Name")?.to_owned(),
            status,
        })
    }

    /// A field of /proc/PID/status.
    pub fn status(&self, name: &str) -> &str {
        field(&self.status, name).unwrap_or_else(|| panic!("no {name} in {}", self.status))
    }

    /// Whether it has a thread of this name.
    pub fn has_thread(&self, name: &str) -> bool {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return false;
        };
        tasks
            .flatten()
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
            .any(|comm| comm.trim_end() == name)
    }

    /// What its descriptors point at.
    pub fn open_files(&self) -> Vec<String> {
        fs::read_dir(format!("/proc/{}/fd", self.pid))
            .unwrap()
            .flatten()
            .filter_map(|fd| fs::read_link(fd.path()).ok())
            .map(|target| target.to_string_lossy().into_owned())
            .collect()
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// The living processes of a process group.
pub fn in_group(group: i32) -> Vec<Process> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| group_of(*pid) == Some(group))
        .filter_map(Process::find)
        .collect()
}

/// The process group, the third field of /proc/PID/stat behind the name in parentheses.
fn group_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}
