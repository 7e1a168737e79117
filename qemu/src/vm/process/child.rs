// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A child process that can't outlive its owner.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::io::unix::AsyncFd;

use super::wait::readable;
use crate::vm::machine::CommandLine;

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
#[error("can't start the {name} `{program}`")]
pub struct SpawnError {
    name: &'static str,
    program: String,
    source: io::Error,
}

/// The signal that the kernel sends to the child when the thread that started it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeathSignal {
    /// SIGKILL.
    Kill,
    /// SIGTERM, for a child that has to clean up.
    Terminate,
}

/// A child process. Dropping it kills it and waits for its end.
///
/// Start it from a thread that lives at least as long as the child (a runtime's main thread or one
/// of its workers): the kernel ties the child's life to that thread.
#[derive(Debug)]
pub struct Supervised {
    name: &'static str,
    child: Child,
    pidfd: AsyncFd<OwnedFd>,
}

impl Supervised {
    /// Starts `command` without input, in a process group of its own. `name` is its name in
    /// messages.
    ///
    /// # Errors
    /// If the program can't be executed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(name: &'static str, command: Command) -> Result<Self, SpawnError> {
        Self::spawn_with(name, command, DeathSignal::Kill)
    }

    /// Starts `command` with this process's own standard streams, and in its process group, which is
    /// the terminal's.
    ///
    /// # Errors
    /// If the program can't be executed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn on_terminal(name: &'static str, mut command: Command) -> Result<Self, SpawnError> {
        Self::started(name, &mut command, DeathSignal::Kill)
    }

    /// Like [`Supervised::spawn`], with another signal for the case that this process dies.
    pub fn spawn_with(
        name: &'static str,
        mut command: Command,
        death: DeathSignal,
    ) -> Result<Self, SpawnError> {
        command.stdin(Stdio::null()).process_group(0);
        Self::started(name, &mut command, death)
    }

    fn started(
        name: &'static str,
        command: &mut Command,
        death: DeathSignal,
    ) -> Result<Self, SpawnError> {
        log::debug!("starting the {name}: {}", CommandLine::of(command));
        Self::start(name, command, death).map_err(|source| SpawnError {
            name,
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })
    }

    fn start(name: &'static str, command: &mut Command, death: DeathSignal) -> io::Result<Self> {
        die_with_us(command, death);
        let child = command.spawn()?;
        // From here on the guard kills the child if a step fails.
        let mut guard = Unwatched(Some(child));
        let pidfd = rustix::process::pidfd_open(guard.pid(), PidfdFlags::empty())?;
        let pidfd = readable(pidfd)?;
        let child = guard.0.take().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { name, child, pidfd })
    }

    /// What the process is, for messages.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the process has ended, without reaping it. Any number of tasks may wait.
    pub async fn ended(&self) -> io::Result<()> {
        // A pidfd stays readable from the process's end on.
        self.pidfd.readable().await.map(drop)
    }

    /// Waits until the process has ended.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.ended().await?;
        self.child.wait()
    }

    /// Waits until the process has ended, but not longer than `deadline`.
    pub async fn wait_for(&mut self, deadline: Duration) -> io::Result<Option<ExitStatus>> {
        match tokio::time::timeout(deadline, self.wait()).await {
            Ok(status) => status.map(Some),
            Err(_elapsed) => Ok(None),
        }
    }

    /// The exit status, if the process has ended.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks the process to end (SIGTERM). No effect if it has ended.
    pub fn terminate(&self) {
        let sent = rustix::process::pidfd_send_signal(self.pidfd.get_ref(), Signal::TERM);
        if let Err(error) = sent {
            log::debug!("{}: SIGTERM not sent: {error}", self.name);
        }
    }

    /// Kills the process and waits for its end.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            log::warn!(
                "{} (pid {}) could not be killed: {error}",
                self.name,
                self.pid()
            );
        }
    }
}

/// A child between its start and its supervision.
struct Unwatched(Option<Child>);

impl Unwatched {
    fn pid(&self) -> Pid {
        self.0
            .as_ref()
            .map_or_else(rustix::process::getpid, Pid::from_child)
    }
}

impl Drop for Unwatched {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take()
            && let Err(error) = child.kill().and_then(|()| child.wait().map(drop))
        {
            log::warn!("pid {} could not be killed: {error}", child.id());
        }
    }
}

/// Makes the kernel signal the child when the thread that starts it ends.
fn die_with_us(command: &mut Command, death: DeathSignal) {
    let parent = rustix::process::getpid();
    let signal = match death {
        DeathSignal::Kill => Signal::KILL,
        DeathSignal::Terminate => Signal::TERM,
    };
    let tie = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // The parent may have died before the line above.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; `tie` makes two
    // system calls, allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(tie);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::PathBuf;

    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    #[tokio::test]
    async fn the_end_is_noticed_and_the_status_kept() {
        let mut child = Supervised::spawn("shell", sh("exit 7")).unwrap();
        child.ended().await.unwrap();
        child.ended().await.unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        assert_eq!(child.status().unwrap().unwrap().code(), Some(7));
    }

    #[tokio::test]
    async fn a_dropped_child_is_gone() {
        let child = Supervised::spawn("sleeper", sh("exec sleep infinity")).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", child.pid()));
        assert!(proc.exists());
        drop(child);
        assert!(!proc.exists());
    }

    #[tokio::test]
    async fn a_child_can_be_asked_to_end() {
        let mut child = Supervised::spawn("sleeper", sh("exec sleep infinity")).unwrap();
        let waited = child.wait_for(Duration::from_millis(50)).await.unwrap();
        assert!(waited.is_none());
        child.terminate();
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGTERM));
    }

    #[tokio::test]
    async fn a_child_dies_with_the_thread_that_started_it() {
        let pid = std::thread::spawn(|| {
            let mut command = sh("exec sleep infinity");
            die_with_us(&mut command, DeathSignal::Kill);
            command.spawn().unwrap()
        });
        let mut child = pid.join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Supervised::spawn("daemon", Command::new("/no/such")).unwrap_err();
        assert_eq!(error.to_string(), "can't start the daemon `/no/such`");
    }
}
