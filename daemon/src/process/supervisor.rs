// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The supervisor: the process that the operator started and that the pid file names.
//!
//! The supervisor waits. The companion and the daemon are its children, so the process that started
//! the supervisor needs to wait for one event only: when the supervisor exits, no other process,
//! socket or pid file is left.
//!
//! There is one exception: a system call of the daemon that the kernel does not end, not even for
//! SIGKILL, because a file system of the host never answers ([`super::stuck`]). Once the daemon was
//! asked to stop, or reports that it is ending, it has [`LAST_MOMENT`]. Then the supervisor kills
//! it. If the daemon still exists after [`KILLED`], the supervisor ends everything else without it,
//! so that a new daemon can start.

use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use log::{error, warn};
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use super::fork_companion::CompanionProcess;
use super::listen::CreatedFiles;
use super::run::ExitStatus;
use super::stop::{DeathPipe, StopRequests};
use super::stuck;
use crate::sandbox::capabilities;

/// How long the daemon may take to end.
const LAST_MOMENT: Duration = Duration::from_secs(10);
/// How long the daemon may take to end after it was killed.
const KILLED: Duration = Duration::from_secs(1);
/// Pause between two checks of children whose end the kernel can't announce (no pidfd).
const PAUSE: Duration = Duration::from_millis(100);

/// What the supervisor owns.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) daemon: Pid,
    pub(super) companion: CompanionProcess,
    /// Files to remove at the end.
    pub(super) files: Vec<CreatedFiles>,
    /// The daemon takes a request to stop from this pipe. If the daemon no longer reads it, the
    /// request stays.
    pub(super) stop: StopRequests,
    /// By this pipe the daemon reports that it is ending.
    pub(super) ending: DeathPipe,
    /// Its end tells the daemon that this process is gone.
    pub(super) parent_death: PipeWriter,
}

/// How the daemon ended.
enum End {
    Ended(ExitStatus),
    /// The daemon does not end, although it was killed.
    Stuck,
}

impl Supervisor {
    /// Waits for the daemon and then for the companion. The daemon's end decides the status.
    pub(super) fn wait(self) -> ExitStatus {
        if let Err(error) = capabilities::keep_right_to_remove_files() {
            warn!("the supervisor keeps its capabilities: {error}");
        }
        let end = self.wait_for_daemon();
        drop(self.files);
        let status = match end {
            End::Ended(status) => status,
            End::Stuck => {
                stuck::leave_behind(self.daemon);
                // The companion would wait for the daemon, whose sockets are still open.
                self.companion.kill();
                ExitStatus::Failed
            }
        };
        // The inner process of a killed daemon may still exist. The companion stays until that
        // process has gone, and this process stays until the companion has.
        drop((self.parent_death, self.companion));
        status
    }

    fn wait_for_daemon(&self) -> End {
        let mut ends: Vec<_> = [self.daemon, self.companion.pid()]
            .into_iter()
            .filter_map(|child| Some((child, end_of(child)?)))
            .collect();
        let (mut deadline, mut killed) = (None, false);
        loop {
            if let Some(status) = self.reap(&mut ends) {
                return End::Ended(status);
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                if killed {
                    return End::Stuck;
                }
                stuck::kill_serving(self.daemon);
                (deadline, killed) = (Some(now + KILLED), true);
            }
            if self.wait_for_event(&ends, deadline) {
                deadline = deadline.or_else(|| Some(Instant::now() + LAST_MOMENT));
            }
        }
    }

    /// Reaps children. Removes ended ones from `ends`, and returns the daemon's status if it has
    /// ended.
    fn reap(&self, ends: &mut Vec<(Pid, OwnedFd)>) -> Option<ExitStatus> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => return None,
                Ok(ended) if ended.pid() == Some(self.daemon) => return Some(daemon_status(ended)),
                Ok(ended) => {
                    ends.retain(|(child, _)| ended.pid() != Some(*child));
                    if ended.pid() == Some(self.companion.pid()) {
                        error!("the companion process ended early, no more files can be mapped");
                    }
                }
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    error!("can't wait for the daemon: {errno}");
                    return Some(ExitStatus::Failed);
                }
            }
        }
    }

    /// Waits until a child ends, or until `deadline`. Without a deadline, also waits for a request
    /// to stop or the daemon's report that it is ending; returns whether one came.
    fn wait_for_event(&self, ends: &[(Pid, OwnedFd)], deadline: Option<Instant>) -> bool {
        let mut events: Vec<_> = match deadline {
            None => vec![self.stop.as_event(), self.ending.as_event()],
            Some(_) => Vec::new(),
        };
        let words = events.len();
        events.extend(ends.iter().map(|(_, end)| PollFd::new(end, PollFlags::IN)));
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let limit = match ends {
            [] => Some(left.unwrap_or(PAUSE).min(PAUSE)),
            _ => left,
        };
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        // A signal that interrupts this call is an event, too.
        let _ = poll(&mut events, limit.as_ref());
        let mut words = events.iter().take(words);
        words.any(|word| !word.revents().is_empty())
    }
}

/// A descriptor that becomes readable when the child has ended.
fn end_of(child: Pid) -> Option<OwnedFd> {
    let child = rustix::process::Pid::from_raw(child.as_raw())?;
    pidfd_open(child, PidfdFlags::empty()).ok()
}

/// The exit status for the daemon's end. virtiofsd's outer process exits with the negative number
/// of the signal that killed the inner process.
fn daemon_status(ended: WaitStatus) -> ExitStatus {
    match ended {
        WaitStatus::Exited(_, 0) => ExitStatus::Orderly,
        WaitStatus::Signaled(_, signal, _) => {
            error!("the daemon was killed by {signal:?}");
            ExitStatus::Failed
        }
        _ => ExitStatus::Failed,
    }
}
