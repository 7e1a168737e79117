// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The supervisor: the process that the operator started and that the pid file names.
//!
//! It waits. Both others are its children, so the end of the daemon is one event for the process
//! that started it: when the supervisor exits, no other process, socket or pid file is left.
//!
//! One thing can't be waited for: a system call of the daemon's that the kernel does not end, not
//! even for SIGKILL, because a file system of the host never answers ([`super::stuck`]). Once the
//! daemon was asked to stop, or says that it ends, it has [`LAST_MOMENT`]; then it is killed, and if
//! it is still there after that, all else goes without it, so that a new daemon can start.

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
use super::status::ExitStatus;
use super::stop::{DeathPipe, StopRequests};
use super::stuck;
use crate::sandbox::capabilities;

/// How long the daemon may take to end.
const LAST_MOMENT: Duration = Duration::from_secs(10);
/// How long it may take when it was killed.
const KILLED: Duration = Duration::from_secs(1);
/// Between two looks at children whose end the kernel can't announce (no pidfd).
const PAUSE: Duration = Duration::from_millis(100);

/// What the supervisor owns.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) daemon: Pid,
    pub(super) companion: CompanionProcess,
    /// Removed at the end.
    pub(super) files: Vec<CreatedFiles>,
    /// The daemon takes a request to stop. Where it can't any more, the request stays here.
    pub(super) stop: StopRequests,
    /// The daemon says here that it ends.
    pub(super) ending: DeathPipe,
    /// Tells the daemon, when this process is gone, that nothing waits for it any more.
    pub(super) parent_death: PipeWriter,
}

/// What became of the daemon.
enum End {
    Ended(ExitStatus),
    /// It does not end, although it was killed.
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
                // It would wait for the daemon, whose sockets are open still.
                self.companion.kill();
                ExitStatus::Failed
            }
        };
        // An inner process of a daemon that was killed may still be there. The companion stays
        // until it has gone too, and this process until the companion has.
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

    /// The daemon's status, if it has ended. Children that have are taken from `ends`.
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

    /// Waits until a child ends, or until `deadline`. Without a deadline, also until the daemon is
    /// to end; whether it is.
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
        // A signal that interrupts this is an event, too.
        let _ = poll(&mut events, limit.as_ref());
        let mut words = events.iter().take(words);
        words.any(|word| !word.revents().is_empty())
    }
}

/// Becomes readable when the child has ended.
fn end_of(child: Pid) -> Option<OwnedFd> {
    let child = rustix::process::Pid::from_raw(child.as_raw())?;
    pidfd_open(child, PidfdFlags::empty()).ok()
}

/// The exit status that the end of the daemon means. virtiofsd's outer process exits with the
/// negative number of the signal that killed the inner one.
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
