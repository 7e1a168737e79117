// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The daemon that serves a share: its command line and its process.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use super::child::{DeathSignal, SpawnError, Supervised};
use super::tail::tail;
use super::watch::appeared;
use crate::machine::{ByteSize, CommandLine, ShareDevice, ShareKind, Tag};

/// How long the daemon may take until its socket is there.
const SOCKET_DEADLINE: Duration = Duration::from_secs(30);
/// How long the daemon may take to end by itself after QEMU has closed the connection.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(20);
/// How long the daemon may take to end after SIGTERM.
const TERMINATE_DEADLINE: Duration = Duration::from_secs(10);
/// Lines of the daemon's log in an error message.
const LOG_LINES: usize = 15;

/// The daemon's cache policy (`--cache`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// The guest looks again after a while.
    Auto,
    /// The guest trusts what it has.
    Always,
    /// The guest keeps metadata only.
    Metadata,
    /// The guest keeps nothing.
    Never,
}

/// Which files the guest maps through the window (`--dax`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dax {
    /// Every file that can be mapped.
    Always,
    /// Those of a certain size and more.
    Inode,
    /// None.
    Never,
}

/// How the daemon confines itself (`--sandbox`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sandbox {
    /// In namespaces of its own.
    Namespace,
    /// In a chroot.
    Chroot,
    /// Not at all.
    None,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ }) => {
        impl $type {
            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}
words!(Cache { Auto => "auto", Always => "always", Metadata => "metadata", Never => "never" });
words!(Dax { Always => "always", Inode => "inode", Never => "never" });
words!(Sandbox { Namespace => "namespace", Chroot => "chroot", None => "none" });

/// A daemon's command line. [`DaemonCommand::new`] gives the usual values.
#[derive(Debug, Clone)]
pub struct DaemonCommand {
    /// The executable.
    pub program: PathBuf,
    /// Where QEMU will connect. The folder must exist.
    pub socket: PathBuf,
    /// The folder to share.
    pub shared_dir: PathBuf,
    /// The name by which the guest mounts it.
    pub tag: Tag,
    /// Size of the window, or `None` for a share without one.
    pub window: Option<ByteSize>,
    /// Which files use the window.
    pub dax: Dax,
    /// The cache policy.
    pub cache: Cache,
    /// The confinement.
    pub sandbox: Sandbox,
    /// Whether the guest may change nothing.
    pub read_only: bool,
    /// Request queues.
    pub queues: NonZeroU16,
    /// Arguments passed as they are, after all others.
    pub extra: Vec<OsString>,
}

/// Why a daemon does not serve.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its log could not be made.
    #[error("can't write the daemon's log {path}", path = .path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// It could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It ended before its socket was there, or while it was needed.
    #[error("the daemon ended ({status}); its log ends with:\n{tail}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        tail: String,
    },
    /// Its socket did not appear.
    #[error(
        "the daemon's socket {socket} did not appear in {SOCKET_DEADLINE:?}; its log ends with:\n{tail}",
        socket = .socket.display()
    )]
    NoSocket {
        /// The socket.
        socket: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// It could not be waited for.
    #[error("can't wait for the daemon")]
    Wait(#[source] io::Error),
}

/// A serving daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Supervised,
    log: PathBuf,
    command_line: CommandLine,
}

impl DaemonCommand {
    /// A daemon that shares `shared_dir` read-write and without a window, in its sandbox.
    pub fn new(program: PathBuf, socket: PathBuf, shared_dir: PathBuf, tag: Tag) -> Self {
        Self {
            program,
            socket,
            shared_dir,
            tag,
            window: None,
            dax: Dax::Inode,
            cache: Cache::Auto,
            sandbox: Sandbox::Namespace,
            read_only: false,
            queues: NonZeroU16::MIN,
            extra: Vec::new(),
        }
    }

    /// The command line.
    pub fn command_line(&self) -> CommandLine {
        let mut line = CommandLine::new(&self.program)
            .arg("--socket-path")
            .arg(&self.socket)
            .arg("--shared-dir")
            .arg(&self.shared_dir)
            .args(["--tag", self.tag.as_str()])
            .args(["--cache", self.cache.word()])
            .args(["--sandbox", self.sandbox.word()]);
        line = match self.window {
            Some(window) => line
                .args(["--dax-window", &window.to_string()])
                .args(["--dax", self.dax.word()]),
            None => line.args(["--dax-window", "0"]),
        };
        if self.read_only {
            line = line.arg("--readonly");
        }
        if self.queues > NonZeroU16::MIN {
            line = line.args(["--request-queues", &self.queues.to_string()]);
        }
        line.args(&self.extra)
    }

    /// QEMU's device for this share. The device that can carry a window takes any share; the plain
    /// one is for those without.
    pub fn device(&self) -> ShareDevice {
        ShareDevice {
            tag: self.tag.clone(),
            socket: self.socket.clone(),
            queues: self.queues,
            kind: match self.window {
                Some(_) => ShareKind::Window,
                None => ShareKind::Plain,
            },
        }
    }
}

impl Daemon {
    /// Starts the daemon, its output going to the file `log`, and waits until QEMU can connect.
    ///
    /// # Errors
    /// If it ends or its socket does not appear in time. Nothing is left running then.
    pub async fn start(command: &DaemonCommand, log: &Path) -> Result<Self, DaemonError> {
        let command_line = command.command_line();
        let mut process = command_line.command();
        let output = File::create(log).and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) = output.map_err(|source| DaemonError::Log {
            path: log.to_owned(),
            source,
        })?;
        process.stdout(stdout).stderr(stderr);
        let mut daemon = Self {
            child: Supervised::spawn_with("daemon", process, DeathSignal::Terminate)?,
            log: log.to_owned(),
            command_line,
        };
        daemon.wait_for_socket(&command.socket).await?;
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

    /// Waits for the end that follows QEMU's, which should be without an error; a daemon that does
    /// not end is asked to, and then killed.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn command(dir: &Path, script: &str) -> DaemonCommand {
        let program = dir.join("fake-daemon");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        DaemonCommand::new(
            program,
            dir.join("sock"),
            "/srv".into(),
            "t".parse().unwrap(),
        )
    }

    #[test]
    fn the_command_line_says_all_that_differs_from_the_defaults() {
        let plain = DaemonCommand::new(
            "/bin/daemon".into(),
            "/run/s".into(),
            "/srv/a b".into(),
            "tag".parse().unwrap(),
        );
        assert_eq!(
            plain.command_line().to_string(),
            "/bin/daemon --socket-path /run/s --shared-dir '/srv/a b' --tag tag --cache auto \
             --sandbox namespace --dax-window 0"
        );
        let full = DaemonCommand {
            window: Some(ByteSize::mib(16)),
            dax: Dax::Always,
            cache: Cache::Never,
            sandbox: Sandbox::Chroot,
            read_only: true,
            queues: NonZeroU16::new(2).unwrap(),
            extra: vec!["--xattr".into()],
            ..plain
        };
        assert_eq!(
            full.command_line().to_string(),
            "/bin/daemon --socket-path /run/s --shared-dir '/srv/a b' --tag tag --cache never \
             --sandbox chroot --dax-window 16M --dax always --readonly --request-queues 2 --xattr"
        );
    }

    #[tokio::test]
    async fn it_serves_once_the_socket_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let command = command(dir.path(), "touch \"$2\"; exec sleep infinity");
        let daemon = Daemon::start(&command, &dir.path().join("log"))
            .await
            .unwrap();
        assert!(command.socket.exists());
        daemon.terminate();
        let error = daemon.stop().await.unwrap_err();
        assert!(matches!(error, DaemonError::Ended { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_daemon_that_ends_at_once_is_shown_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let command = command(dir.path(), "echo 'no such folder' >&2; exit 1");
        let error = Daemon::start(&command, &dir.path().join("log"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no such folder"), "{error}");
    }

    #[tokio::test]
    async fn a_daemon_that_ends_without_error_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let command = command(
            dir.path(),
            "trap 'exit 0' TERM; touch \"$2\"; sleep infinity & wait",
        );
        let daemon = Daemon::start(&command, &dir.path().join("log"))
            .await
            .unwrap();
        daemon.terminate();
        daemon.stop().await.unwrap();
    }
}
