// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest and its daemons could leave behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use super::Mounts;

/// How long the last of several processes may take to be gone after the first one.
const GONE_DEADLINE: Duration = Duration::from_secs(30);
/// Linux announces a process's end only to its parent, so other processes are polled.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What to look for once a guest has ended.
pub struct Leftovers {
    run_dir: PathBuf,
    mounts: Mounts,
}

impl Leftovers {
    /// For a guest whose sockets and logs are in `run_dir`. `mounts` are the host's mounts before
    /// its daemons were started.
    pub fn of(run_dir: &Path, mounts: Mounts) -> Self {
        Self {
            run_dir: run_dir.to_owned(),
            mounts,
        }
    }

    /// Waits until no process names the run's folder in its command line, the folder has no socket
    /// and no pid file, and no mount is new.
    pub async fn expect_none(&self) -> Result<()> {
        let deadline = Instant::now() + GONE_DEADLINE;
        loop {
            let left = self.left()?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("left behind for {GONE_DEADLINE:?}:\n{}", left.join("\n"));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn left(&self) -> Result<Vec<String>> {
        let mut left = self.processes()?;
        for name in names(&self.run_dir)? {
            if name.contains("fs") && (name.ends_with(".sock") || name.ends_with(".pid")) {
                left.push(format!("file {name} in {}", self.run_dir.display()));
            }
        }
        let mounts = Mounts::now()?.come_since(&self.mounts, &self.run_dir);
        left.extend(mounts.into_iter().map(|line| format!("mount {line}")));
        Ok(left)
    }

    fn processes(&self) -> Result<Vec<String>> {
        let mark = self.run_dir.display().to_string();
        let mut found = Vec::new();
        for name in names(Path::new("/proc"))? {
            let Ok(pid) = name.parse::<u32>() else {
                continue;
            };
            // A process that has just ended can't be read any more.
            let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
                continue;
            };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&mark) && pid != std::process::id() {
                found.push(format!("process {pid}: {line}"));
            }
        }
        Ok(found)
    }
}

/// The names in a folder; none where the folder is gone.
fn names(dir: &Path) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(Vec::new());
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// How long the command line of a new process may take to appear.
    const START_DEADLINE: Duration = Duration::from_secs(60);
    /// Between two looks: the kernel does not announce the new command line.
    const LOOK_AGAIN: Duration = Duration::from_millis(5);

    #[test]
    fn processes_sockets_and_pid_files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let leftovers = Leftovers::of(dir.path(), Mounts::now().unwrap());
        // Another run on this host may make mounts of its own meanwhile.
        let left = || {
            let mut left = leftovers.left().unwrap();
            left.retain(|line| !line.starts_with("mount "));
            left
        };
        assert!(left().is_empty());
        for name in ["fs0.sock", "fs0.sock.pid", "daemon0.log"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read line", "sh"])
            .arg(dir.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // A new process has no command line of its own until its exec(2) is complete.
        let deadline = Instant::now() + START_DEADLINE;
        let mut found = left();
        while found.len() < 3 && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
            found = left();
        }
        let left = found;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left[0].starts_with("process "), "{left:?}");
    }
}
