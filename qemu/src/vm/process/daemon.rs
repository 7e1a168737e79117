// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The process of a daemon that serves a share.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::child::{DeathSignal, SpawnError, Supervised};
use super::share::Share;
use super::tail::tail;
use super::wait::{Family, appeared};
use crate::vm::machine::CommandLine;

/// How long the daemon may take until its socket is there.
const SOCKET_DEADLINE: Duration = Duration::from_secs(30);
/// How long the daemon may take to end by itself after QEMU has closed the connection.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(20);
/// How long the daemon may take to end after SIGTERM.
const TERMINATE_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of the daemon's log in an error message.
const LOG_LINES: usize = 15;

/// Why a daemon does not serve.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum DaemonError {
    /// Its log could not be created.
    #[error("can't write the daemon's log {path}", path = .path.display())]
    Log { path: PathBuf, source: io::Error },
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It ended before its socket appeared, or while it was needed.
    #[error("the daemon ended ({status}); its log ends with:\n{tail}")]
    Ended { status: ExitStatus, tail: String },
    /// Its socket did not appear.
    #[error(
        "the daemon's socket {socket} did not appear in {SOCKET_DEADLINE:?}; its log ends with:\n{tail}",
        socket = .socket.display()
    )]
    NoSocket { socket: PathBuf, tail: String },
    /// It could not be waited for.
    #[error("can't wait for the daemon")]
    Wait(#[source] io::Error),
}

/// A serving daemon. Dropping it kills it and waits for the end of the processes that it forked.
#[derive(Debug)]
pub struct Daemon {
    child: Supervised,
    family: Family,
    log: PathBuf,
    command_line: CommandLine,
}

impl Daemon {
    /// Starts the daemon `program` on `share`, its output going to the file `log`, and waits until
    /// QEMU can connect to `socket`, whose folder must exist.
    ///
    /// # Errors
    /// If it ends or its socket does not appear in time. Nothing is left running then.
    pub async fn start(
        program: &Path,
        share: &Share,
        socket: &Path,
        log: &Path,
    ) -> Result<Self, DaemonError> {
        let command_line = share.daemon(program, socket);
        let mut process = command_line.command();
        // The command line is kept beside the log, for a person who reads the log.
        let log_file = std::fs::write(log.with_extension("sh"), format!("{command_line}\n"))
            .and_then(|()| File::create(log));
        let log_file = log_file.map_err(|source| DaemonError::Log {
            path: log.to_owned(),
            source,
        })?;
        let (family, member) = Family::new().map_err(DaemonError::Wait)?;
        process.stdout(member).stderr(log_file);
        let mut daemon = Self {
            child: Supervised::spawn_with("daemon", process, DeathSignal::Terminate)?,
            family,
            log: log.to_owned(),
            command_line,
        };
        daemon.wait_for_socket(socket).await?;
        Ok(daemon)
    }

    async fn wait_for_socket(&mut self, socket: &Path) -> Result<(), DaemonError> {
        let there = tokio::time::timeout(SOCKET_DEADLINE, appeared(socket));
        tokio::select! {
            there = there => match there {
                Ok(there) => there.map_err(DaemonError::Wait),
                Err(_elapsed) => Err(DaemonError::NoSocket {
                    socket: socket.to_owned(),
                    tail: tail(&self.log, LOG_LINES),
                }),
            },
            ended = self.ended() => Err(ended),
        }
    }

    /// Waits for the daemon's end, without taking its status. Any number of tasks may wait.
    pub async fn gone(&self) -> io::Result<()> {
        self.child.ended().await
    }

    /// Waits for the daemon's end, which is an error while a guest needs it.
    pub async fn ended(&mut self) -> DaemonError {
        match self.child.wait().await {
            Ok(status) => DaemonError::Ended {
                status,
                tail: tail(&self.log, LOG_LINES),
            },
            Err(source) => DaemonError::Wait(source),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it was started.
    pub fn command_line(&self) -> &CommandLine {
        &self.command_line
    }

    /// Asks the daemon to end (SIGTERM).
    pub fn terminate(&self) {
        self.child.terminate();
    }

    /// Waits for the daemon's end after QEMU's, which should be without an error. A daemon that
    /// does not end is asked to, and then killed.
    ///
    /// # Errors
    /// If it ended with an error or had to be killed.
    pub async fn stop(mut self) -> Result<(), DaemonError> {
        let mut status = self.wait_for(DISCONNECT_DEADLINE).await?;
        if status.is_none() {
            log::warn!("the daemon did not end in {DISCONNECT_DEADLINE:?} after QEMU; stopping it");
            self.child.terminate();
            status = self.wait_for(TERMINATE_DEADLINE).await?;
        }
        let status = match status {
            Some(status) if status.success() => return Ok(()),
            Some(status) => status,
            None => self.child.kill().map_err(DaemonError::Wait)?,
        };
        let tail = tail(&self.log, LOG_LINES);
        Err(DaemonError::Ended { status, tail })
    }

    async fn wait_for(&mut self, deadline: Duration) -> Result<Option<ExitStatus>, DaemonError> {
        self.child
            .wait_for(deadline)
            .await
            .map_err(DaemonError::Wait)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill() {
            log::warn!("the daemon could not be killed: {error}");
        }
        self.family.wait();
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::script;

    /// Starts a shell script as the daemon, with its socket and log in `dir`.
    async fn start(dir: &Path, text: &str) -> Result<Daemon, DaemonError> {
        let program = dir.join("fake-daemon");
        script::write(&program, text).unwrap();
        let share = Share::new("/srv", "t".parse().unwrap());
        Daemon::start(&program, &share, &dir.join("sock"), &dir.join("log")).await
    }

    #[tokio::test]
    async fn it_serves_once_the_socket_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let script = "touch \"$2\"; exec sleep infinity";
        let daemon = start(dir.path(), script).await.unwrap();
        assert!(dir.path().join("sock").exists());
        daemon.terminate();
        let error = daemon.stop().await.unwrap_err();
        assert!(matches!(error, DaemonError::Ended { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_forked_helper_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let done = dir.path().join("done");
        let helper = format!(
            "(sleep 0.3; touch '{}') & touch \"$2\"; wait",
            done.display()
        );
        let daemon = start(dir.path(), &helper).await.unwrap();
        drop(daemon);
        assert!(done.exists());
    }

    #[tokio::test]
    async fn a_daemon_that_ends_at_once_is_shown_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo 'no such folder' >&2; exit 1";
        let error = start(dir.path(), script).await.unwrap_err();
        assert!(error.to_string().contains("no such folder"), "{error}");
    }

    #[tokio::test]
    async fn a_daemon_that_ends_without_error_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap 'kill $!; exit 0' TERM; sleep infinity & touch \"$2\"; wait";
        let daemon = start(dir.path(), script).await.unwrap();
        daemon.terminate();
        daemon.stop().await.unwrap();
    }
}
