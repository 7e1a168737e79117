// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A running daemon.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::command::Place;
use super::{DaemonCommand, DaemonError, Process, Usage};

/// Between two looks at a condition without a notification.
const PAUSE: Duration = Duration::from_millis(2);

thread_local! {
    /// The logs of the daemons that this thread has dropped.
    static LOGS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Takes the logs of the daemons that this thread has dropped since the last call, the oldest first.
/// A daemon's files are gone by then, so this is what a failure can still show.
pub fn take_logs() -> Vec<String> {
    LOGS.take()
}

/// A daemon's processes and files. Its drop removes all of them.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    place: Place,
    patience: Duration,
    shows_log: bool,
    ended: Option<ExitStatus>,
}

/// Identifies a file, to tell it from a later file at the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStamp {
    inode: u64,
    changed: (i64, i64),
}

impl FileStamp {
    /// The identity of the file at `path`, if there is one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        Some(Self {
            inode: found.ino(),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

impl Daemon {
    /// A daemon to be started.
    pub fn command(program: impl Into<PathBuf>) -> DaemonCommand {
        DaemonCommand::new(program)
    }

    /// The daemon that this child has started. Returns when there is a socket that is not the one
    /// from `before`.
    pub(super) fn new(
        child: Child,
        place: Place,
        before: Option<FileStamp>,
        patience: Duration,
        shows_log: bool,
    ) -> Result<Self, DaemonError> {
        let mut daemon = Self {
            child,
            place,
            patience,
            shows_log,
            ended: None,
        };
        let socket = daemon.socket();
        daemon.wait_for("its socket", |daemon| match daemon.try_wait() {
            Some(status) => Some(Err(DaemonError::Ended {
                status,
                log: daemon.log(),
            })),
            None => {
                let now = FileStamp::of(&socket);
                (now.is_some() && now != before).then_some(Ok(()))
            }
        })??;
        Ok(daemon)
    }

    /// The path of its socket, for one connection.
    pub fn socket(&self) -> PathBuf {
        self.place.socket()
    }

    /// The directory that it shares.
    pub fn share(&self) -> &Path {
        &self.place.share
    }

    /// All that it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.place.log()).unwrap_or_default()
    }

    /// The ID of the first process, which is also the ID of their process group.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Its processes that have not ended.
    pub fn processes(&self) -> Vec<Process> {
        Process::in_group(self.pid())
    }

    /// The process that serves the guest's requests: the one with the most CPU time so far.
    pub fn busiest(&self) -> Option<Process> {
        self.processes()
            .into_iter()
            .max_by_key(|process| process.cpu().unwrap_or_default())
    }

    /// The processes' current use. A process that ends meanwhile is left out.
    pub fn usage(&self) -> Usage {
        let processes = self.processes();
        Usage(
            processes
                .iter()
                .filter_map(|one| one.usage().ok())
                .collect(),
        )
    }

    /// CPU time of all its processes, to the nanosecond, without the cost of [`Daemon::usage`].
    pub fn cpu(&self) -> Duration {
        let processes = self.processes();
        processes.iter().filter_map(|one| one.cpu().ok()).sum()
    }

    /// The exit status of the first process, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits until all processes have ended by themselves, as they do after the VMM has
    /// disconnected.
    ///
    /// # Errors
    /// [`DaemonError::TimedOut`].
    pub fn wait(&mut self) -> Result<ExitStatus, DaemonError> {
        self.wait_for("its end", |daemon| {
            let status = daemon.try_wait()?;
            daemon.processes().is_empty().then_some(status)
        })
    }

    /// Sends SIGTERM to the first process, and waits until all processes have ended.
    pub fn stop(&mut self) -> Result<ExitStatus, DaemonError> {
        self.signal(self.pid(), Signal::TERM)?;
        self.wait()
    }

    /// Sends a signal to one of its processes.
    ///
    /// # Errors
    /// [`DaemonError::Signal`].
    pub fn signal(&self, pid: i32, signal: Signal) -> Result<(), DaemonError> {
        let Some(pid) = Pid::from_raw(pid) else {
            return Ok(());
        };
        kill_process(pid, signal).map_err(|error| DaemonError::Signal(error.into()))
    }

    /// Kills all its processes at once, and waits until they have ended.
    pub fn kill(&mut self) {
        if let Some(group) = Pid::from_raw(self.pid()) {
            // Fails only if all have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
        let gone = self.wait_for("the end of what was killed", |daemon| {
            daemon.processes().is_empty().then_some(())
        });
        if let Err(error) = gone {
            log::error!("{error}");
        }
    }

    fn wait_for<T>(
        &mut self,
        what: &'static str,
        mut condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, DaemonError> {
        let patience = self.patience;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = condition(self) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                let log = self.log();
                return Err(DaemonError::TimedOut {
                    patience,
                    what,
                    log,
                });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        let log = self.log();
        if self.shows_log || std::thread::panicking() {
            eprintln!("the daemon's log:\n{log}");
        }
        LOGS.with_borrow_mut(|logs| logs.push(log));
    }
}
