// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How a daemon is started.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::running::FileStamp;
use super::{Daemon, DaemonError};

/// How long a daemon may take to start or to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names of a daemon's two necessary options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The option that names the shared directory.
    pub share: &'static str,
    /// The option that names the socket.
    pub socket: &'static str,
}

impl Dialect {
    /// This project's daemon and virtiofsd.
    pub const VIRTIOFSD: Self = Self {
        share: "--shared-dir",
        socket: "--socket-path",
    };
}

/// A daemon that is to be started: a program, the shared directory, options.
///
/// A new folder holds socket and log, and also the share if no other one is given. The folder is
/// removed with the [`Daemon`].
#[derive(Debug)]
pub struct DaemonCommand {
    program: PathBuf,
    dialect: Dialect,
    share: Option<PathBuf>,
    socket: Option<PathBuf>,
    options: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    user: Option<u32>,
    patience: Duration,
    shows_log: bool,
}

impl DaemonCommand {
    /// A daemon that understands virtiofsd's options.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            dialect: Dialect::VIRTIOFSD,
            share: None,
            socket: None,
            options: Vec::new(),
            environment: Vec::new(),
            user: None,
            patience: PATIENCE,
            shows_log: false,
        }
    }

    /// Sets the names of the daemon's options, if they differ.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Shares this directory instead of a new one.
    #[must_use]
    pub fn share(mut self, share: impl Into<PathBuf>) -> Self {
        self.share = Some(share.into());
        self
    }

    /// Sets another socket path, for example that of an earlier daemon.
    #[must_use]
    pub fn socket(mut self, socket: impl Into<PathBuf>) -> Self {
        self.socket = Some(socket.into());
        self
    }

    /// Adds an option.
    #[must_use]
    pub fn arg(mut self, option: impl AsRef<OsStr>) -> Self {
        self.options.push(option.as_ref().to_owned());
        self
    }

    /// Adds options.
    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = T>) -> Self {
        self.options
            .extend(options.into_iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.environment.push(pair);
        self
    }

    /// Runs the daemon as this user, who gets the folder, and the share if none was given.
    #[must_use]
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Sets how long the daemon may take to start and to end.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Prints the daemon's log when the [`Daemon`] is dropped. The harness of a test shows it with a
    /// failure, whether the test panics or returns an error.
    #[must_use]
    pub fn show_log(mut self) -> Self {
        self.shows_log = true;
        self
    }

    /// Starts the daemon, and returns when its socket exists.
    ///
    /// # Errors
    /// [`DaemonError`], with the daemon's log if it has ended.
    pub fn start(self) -> Result<Daemon, DaemonError> {
        let place = Place::new(self.share.clone(), self.socket.clone())?;
        let before = FileStamp::of(&place.socket());
        let program = match self.user {
            Some(user) => place.give_to(user, &self.program)?,
            None => self.program.clone(),
        };
        let mut command = self.command(&program, &place)?;
        let child = command
            .spawn()
            .map_err(|source| DaemonError::Start { program, source })?;
        Daemon::new(child, place, before, self.patience, self.shows_log)
    }

    fn command(&self, program: &Path, place: &Place) -> Result<Command, DaemonError> {
        let log = place.log();
        let log = File::create(&log).map_err(prepare(&log))?;
        let mut command = Command::new(program);
        command
            .arg(self.dialect.share)
            .arg(&place.share)
            .arg(self.dialect.socket)
            .arg(place.socket())
            .args(&self.options)
            .env_remove("RUST_LOG")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // The group identifies the daemon's processes, and ends them.
            .process_group(0);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        Ok(command)
    }
}

/// A daemon's files.
#[derive(Debug)]
pub(super) struct Place {
    folder: TempDir,
    pub(super) share: PathBuf,
    socket: PathBuf,
}

impl Place {
    fn new(share: Option<PathBuf>, socket: Option<PathBuf>) -> Result<Self, DaemonError> {
        let folder = tempfile::tempdir().map_err(prepare(&std::env::temp_dir()))?;
        let share = match share {
            Some(share) => share,
            None => {
                let share = folder.path().join("share");
                fs::create_dir(&share).map_err(prepare(&share))?;
                share
            }
        };
        let socket = socket.unwrap_or_else(|| folder.path().join("sock"));
        Ok(Self {
            folder,
            share,
            socket,
        })
    }

    /// Gives the folder to a user, with a copy of the program, whose own folder may be closed to
    /// others.
    fn give_to(&self, user: u32, program: &Path) -> Result<PathBuf, DaemonError> {
        let copy = self.folder.path().join("program");
        copy_program(program, &copy).map_err(prepare(program))?;
        for path in [self.folder.path(), &self.share, &copy] {
            chown(path, Some(user), Some(user)).map_err(prepare(path))?;
        }
        Ok(copy)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// Lets another process write the copy: a child that another thread forks meanwhile would hold it open,
/// and Linux runs no file that is open for writing.
fn copy_program(program: &Path, copy: &Path) -> std::io::Result<()> {
    let mut install = Command::new("install");
    let status = install.arg("--").args([program, copy]).status()?;
    let failed = || std::io::Error::other("install(1) failed");
    status.success().then_some(()).ok_or_else(failed)
}

fn prepare(path: &Path) -> impl FnOnce(std::io::Error) -> DaemonError {
    let path = path.to_owned();
    move |source| DaemonError::Prepare { path, source }
}
