// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Removes the files of a killed supervisor.
//!
//! The holder of the lock on the pid file decides about these files: a live supervisor holds it,
//! and so does the next daemon that takes the files over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use log::warn;
use nix::unistd::Pid;
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::config::SocketFile;

/// How long a holder that is about to release the lock may take.
const HANDOVER: Duration = Duration::from_secs(10);
/// Pause between two tries for the lock: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// Removes socket and pid file if they belong to the dead process `supervisor`.
pub(super) fn remove(socket: &SocketFile, supervisor: Pid) {
    match try_remove(socket, supervisor) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!("can't clean up after process {supervisor}: {error}");
        }
        _ => {}
    }
}

fn try_remove(socket: &SocketFile, supervisor: Pid) -> io::Result<()> {
    let path = socket.pid_file();
    let mut pid_file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)?;
    let give_up = Instant::now() + HANDOVER;
    let mut pause = PAUSES.0;
    loop {
        let locked = flock(&pid_file, FlockOperation::NonBlockingLockExclusive).is_ok();
        match (Owner::read(&mut pid_file)?, locked) {
            (Owner::Process(owner), true) if owner == supervisor.as_raw() => {
                remove_socket(&socket.path)?;
                return fs::remove_file(&path);
            }
            // The supervisor was killed after it had created the file and before it wrote to it. It
            // creates the socket only afterwards.
            (Owner::Empty, true) => return fs::remove_file(&path),
            // The supervisor is ending: the kernel has closed its liveness pipe, but not yet its
            // pid file. Or the next daemon is about to write its own number.
            (Owner::Process(owner), false) if owner == supervisor.as_raw() => {}
            (Owner::Empty, false) => {}
            (Owner::Process(_) | Owner::Unknown, _) => return Ok(()),
        }
        if Instant::now() >= give_up {
            // The holder is no process of ours: those release the lock or write their number within
            // milliseconds.
            return Err(io::Error::other(format!(
                "{} stayed locked for {HANDOVER:?}",
                path.display()
            )));
        }
        std::thread::sleep(pause);
        pause = PAUSES.1.min(2 * pause);
    }
}

fn remove_socket(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path),
        _ => Ok(()),
    }
}

/// The owner of a pid file.
enum Owner {
    Process(i32),
    /// The file has no number yet.
    Empty,
    Unknown,
}

impl Owner {
    fn read(pid_file: &mut File) -> io::Result<Self> {
        let mut text = String::new();
        pid_file.rewind()?;
        pid_file.read_to_string(&mut text)?;
        Ok(match text.trim() {
            "" => Self::Empty,
            text => text.parse().map_or(Self::Unknown, Self::Process),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;
    use std::path::{Path, PathBuf};

    use nix::unistd::Pid;
    use rustix::fs::{FlockOperation, flock};

    use super::remove;
    use crate::config::SocketFile;
    use crate::testing::{expect, in_background};

    const DEAD: Pid = Pid::from_raw(4_000_000);

    /// A socket in `dir`, and its path and its pid file's.
    fn socket_in(dir: &Path) -> (SocketFile, PathBuf, PathBuf) {
        let path = dir.join("s");
        drop(UnixListener::bind(&path).unwrap());
        let socket = SocketFile {
            path: path.clone(),
            group: None,
        };
        let pid_file = socket.pid_file();
        (socket, path, pid_file)
    }

    #[test]
    fn what_the_pid_file_says_decides() {
        // The text of the pid file; whether the socket and the pid file exist afterwards.
        let table = [
            (Some("4000000\n"), false, false),
            (Some(""), true, false),
            (Some("4000001\n"), true, true),
            (Some("nonsense"), true, true),
            (None, true, false),
        ];
        for (text, socket_stays, pid_file_stays) in table {
            let dir = tempfile::tempdir().unwrap();
            let (socket, path, pid_file) = socket_in(dir.path());
            if let Some(text) = text {
                fs::write(&pid_file, text).unwrap();
            }
            remove(&socket, DEAD);
            assert_eq!(path.exists(), socket_stays, "{text:?}");
            assert_eq!(pid_file.exists(), pid_file_stays, "{text:?}");
        }
    }

    #[test]
    fn files_of_the_next_daemon_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, path, pid_file) = socket_in(dir.path());
        fs::write(&pid_file, "4000001\n").unwrap();
        let holder = fs::File::open(&pid_file).unwrap();
        flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
        remove(&socket, DEAD);
        assert!(path.exists() && pid_file.exists());
    }

    #[test]
    fn a_lock_that_is_about_to_go_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, path, pid_file) = socket_in(dir.path());
        fs::write(&pid_file, "4000000\n").unwrap();
        let holder = fs::File::open(&pid_file).unwrap();
        flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
        let removing = std::thread::spawn(move || remove(&socket, DEAD));
        assert!(path.exists() && pid_file.exists());
        drop(holder);
        removing.join().unwrap();
        assert!(!path.exists() && !pid_file.exists());
    }

    /// The test checks that the wait ends, not how long it lasts.
    #[test]
    fn a_lock_of_a_stranger_is_not_waited_for_for_ever() {
        // Both wait at the same time.
        let begun = ["", "4000000\n"].map(|text| {
            let dir = tempfile::tempdir().unwrap();
            let (socket, path, pid_file) = socket_in(dir.path());
            fs::write(&pid_file, text).unwrap();
            let holder = fs::File::open(&pid_file).unwrap();
            flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
            let removed = in_background(move || remove(&socket, DEAD));
            (removed, path, pid_file, (dir, holder))
        });
        for (removed, path, pid_file, _held) in begun {
            expect(&removed, "the helper to give up");
            assert!(path.exists() && pid_file.exists(), "{pid_file:?}");
        }
    }

    #[test]
    fn only_a_socket_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, path, pid_file) = socket_in(dir.path());
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        fs::write(&pid_file, "4000000\n").unwrap();
        remove(&socket, DEAD);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
