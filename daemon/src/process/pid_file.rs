// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The pid file, whose lock says that the socket beside it is in use.
//!
//! Name and lock are virtiofsd's, so that the two daemons respect each other's sockets. The
//! supervisor holds the lock as long as it lives. Afterwards the companion holds it while it
//! removes the files, or the next daemon does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use log::info;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::error::StartError;
use super::owned_file::OwnedFile;
use super::stop::StopRequests;

/// How long the companion of a killed daemon may take to remove the daemon's files.
const HANDOVER: Duration = Duration::from_secs(10);
/// Pause between two tries for the lock.
const PAUSE: Duration = Duration::from_millis(10);

/// A locked pid file.
#[derive(Debug)]
pub(super) struct PidFile {
    /// Removes the file.
    created: OwnedFile,
    /// Holds the lock.
    file: File,
}

impl PidFile {
    /// Creates and locks the file at `path`, and writes this process's id to it.
    /// `option` names the socket beside it.
    pub(super) fn create(
        path: PathBuf,
        option: &'static str,
        stop: &StopRequests,
    ) -> Result<Self, StartError> {
        let (mut file, created) = loop {
            let mut file = open(&path).map_err(StartError::file("create", &path))?;
            lock(&mut file, &path, option, stop)?;
            // The previous holder may have removed the very file that we waited for.
            let ours = file.metadata().map_err(StartError::file("stat", &path))?;
            match fs::symlink_metadata(&path) {
                Ok(now) if (now.dev(), now.ino()) == (ours.dev(), ours.ino()) => {
                    let created = OwnedFile::at(&path).map_err(StartError::file("stat", &path))?;
                    break (file, created);
                }
                _ => continue,
            }
        };
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(StartError::file("write", &path))?;
        Ok(Self { created, file })
    }

    /// In a fork of the owner: leaves file and lock to the owner. The lock belongs to the open
    /// file, which both processes share, so it stays when this copy is closed.
    pub(super) fn disown(self) {
        self.created.disown();
        drop(self.file);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// Takes the lock, or fails with its holder.
///
/// If the process in the file is dead, the lock's holder is a companion that removes the files of a
/// killed daemon. That is worth waiting for: a companion does nothing else with the lock. But a
/// live process of another process namespace also looks dead from here, so the wait has a limit.
fn lock(
    file: &mut File,
    path: &Path,
    option: &'static str,
    stop: &StopRequests,
) -> Result<(), StartError> {
    let give_up = Instant::now() + HANDOVER;
    let mut told = false;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {}
            result => return result.map_err(|errno| StartError::file("lock", path)(errno.into())),
        }
        let mut text = String::new();
        file.rewind()
            .and_then(|()| file.read_to_string(&mut text))
            .map_err(StartError::file("read", path))?;
        let holder = Holder::from_text(&text);
        if !matches!(holder, Holder::Dead(_)) || Instant::now() >= give_up {
            return Err(StartError::InUse {
                pid_file: path.to_owned(),
                holder: holder.to_string(),
                option,
            });
        }
        if !told {
            info!("waiting for {} to be released by {holder}", path.display());
            told = true;
        }
        if stop.wait_for(PAUSE) {
            return Err(StartError::AskedToStop);
        }
    }
}

/// The process that a locked pid file names.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Alive(Pid),
    /// The process has ended, or lives in another process namespace.
    Dead(Pid),
    Unknown,
}

impl Holder {
    fn from_text(text: &str) -> Self {
        match text.trim().parse().ok().and_then(Pid::from_raw) {
            None => Self::Unknown,
            Some(pid) => match test_kill_process(pid) {
                Err(Errno::SRCH) => Self::Dead(pid),
                _ => Self::Alive(pid),
            },
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alive(pid) => write!(f, "process {pid}"),
            Self::Dead(pid) => write!(
                f,
                "process {pid}, which is not among this system's or this container's"
            ),
            Self::Unknown => f.write_str("an unknown process"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{PidFile, StartError, StopRequests};

    fn create(path: &Path) -> Result<PidFile, StartError> {
        PidFile::create(path.to_owned(), "--socket-path", &StopRequests::none())
    }

    #[test]
    fn it_holds_this_process_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.pid");
        fs::write(&path, "12345678901234\nleft over\n").unwrap();
        let held = create(&path).unwrap();
        let written = fs::read_to_string(&path).unwrap();
        assert_eq!(written, format!("{}\n", std::process::id()));

        match create(&path) {
            Err(StartError::InUse { holder, .. }) => {
                assert_eq!(holder, format!("process {}", std::process::id()));
            }
            other => panic!("{other:?}"),
        }
        drop(held);
        assert!(!path.exists());
        drop(create(&path).unwrap());
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "precious").unwrap();
        let path = dir.path().join("s.pid");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(matches!(
            create(&path),
            Err(StartError::File { what: "create", .. })
        ));
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }
}
