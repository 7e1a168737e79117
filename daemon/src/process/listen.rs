// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Third stage: the socket that the VMM connects to.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::unistd::Group;
use rustix::net::sockopt;
use virtiofsd::oslib::ScopedUmask;

use super::error::StartError;
use super::owned_file::OwnedFile;
use super::pid_file::PidFile;
use super::stop::StopRequests;
use crate::config::{Endpoint, SocketFile};

/// Access for the owner only.
const UMASK_OWNER: u32 = 0o077;
/// Access for owner and group, if the operator named a group.
const UMASK_GROUP: u32 = 0o007;

/// The files that the daemon has created. The fields are dropped in this order: the lock goes last.
#[derive(Debug, Default)]
pub(super) struct CreatedFiles {
    socket: Option<OwnedFile>,
    pid_file: Option<PidFile>,
}

impl CreatedFiles {
    /// In a fork of the owner: leaves the files to the owner.
    pub(super) fn disown(self) {
        if let Some(socket) = self.socket {
            socket.disown();
        }
        if let Some(pid_file) = self.pid_file {
            pid_file.disown();
        }
    }
}

/// Opens the endpoint. `stop` ends the wait for an earlier daemon whose files are being removed.
pub(super) fn listen(
    endpoint: &Endpoint,
    stop: &StopRequests,
) -> Result<(UnixListener, CreatedFiles), StartError> {
    match endpoint {
        Endpoint::Inherited(fd) => Ok((take_over(*fd)?, CreatedFiles::default())),
        Endpoint::Create(socket) => create(socket, "--socket-path", stop),
    }
}

/// The socket passed by `--fd`, if that is the endpoint. It is owned, so that a process without a
/// use for it closes it by a drop.
pub(super) fn inherited(endpoint: &Endpoint) -> Option<UnixListener> {
    match endpoint {
        Endpoint::Inherited(fd) => take_over(*fd).ok(),
        Endpoint::Create(_) => None,
    }
}

/// Takes over the socket that was passed by `--fd`.
fn take_over(fd: RawFd) -> Result<UnixListener, StartError> {
    let not_listening = || StartError::NotListening { fd };
    if fd < 0 {
        return Err(not_listening());
    }
    // SAFETY: the borrow lasts for the check alone, which finds out whether the number is an open
    // descriptor. Nothing in this process closes descriptors meanwhile, as it has one thread.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    match sockopt::socket_acceptconn(borrowed) {
        Ok(true) => {}
        _ => return Err(not_listening()),
    }
    // SAFETY: `fd` is open, as the check has shown, and this process owns it: the operator passed
    // it with --fd to be used and closed here, and this process opened no descriptor of that
    // number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

/// Creates pid file and socket.
pub(super) fn create(
    socket: &SocketFile,
    option: &'static str,
    stop: &StopRequests,
) -> Result<(UnixListener, CreatedFiles), StartError> {
    let path = &socket.path;
    let dir = socket.directory();
    if !dir.is_dir() {
        return Err(StartError::NoSocketDir {
            dir: dir.into(),
            option,
        });
    }
    let group = socket.group.as_deref().map(find_group).transpose()?;

    let mut files = CreatedFiles::default();
    let _umask = ScopedUmask::new(if group.is_some() {
        UMASK_GROUP
    } else {
        UMASK_OWNER
    });
    files.pid_file = Some(PidFile::create(socket.pid_file(), option, stop)?);
    remove_left_over(path, option)?;
    let listener = UnixListener::bind(path).map_err(StartError::file("create the socket", path))?;
    files.socket = Some(OwnedFile::at(path).map_err(StartError::file("stat", path))?);
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group.gid.as_raw()))
            .map_err(StartError::file("change the group of", path))?;
    }
    Ok((listener, files))
}

fn find_group(name: &str) -> Result<Group, StartError> {
    Group::from_name(name)
        .map_err(|errno| StartError::system("look up groups")(errno.into()))?
        .ok_or_else(|| StartError::NoGroup { group: name.into() })
}

/// Removes a socket that an earlier daemon left behind. We hold its lock, so that daemon is dead.
fn remove_left_over(path: &Path, option: &'static str) -> Result<(), StartError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            fs::remove_file(path).map_err(StartError::file("remove the old socket", path))
        }
        Ok(_) => Err(StartError::NotASocket {
            path: path.into(),
            option,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StartError::file("stat", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::{AsRawFd, IntoRawFd};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::Path;

    use nix::sched::{CloneFlags, unshare};

    use super::{CreatedFiles, StartError, StopRequests, listen};
    use crate::config::{Endpoint, SocketFile};

    /// Gives the test's thread its own umask. Other tests of this process set the shared one, for
    /// example through virtiofsd's file system.
    fn own_umask() {
        unshare(CloneFlags::CLONE_FS).unwrap();
    }

    fn at(path: &Path, group: Option<&str>) -> Endpoint {
        Endpoint::Create(SocketFile {
            path: path.into(),
            group: group.map(str::to_owned),
        })
    }

    fn open(endpoint: &Endpoint) -> Result<(UnixListener, CreatedFiles), StartError> {
        listen(endpoint, &StopRequests::none())
    }

    fn entries(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn the_files_come_and_go_with_their_owner() {
        own_umask();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, files) = open(&at(&path, None)).unwrap();
        UnixStream::connect(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path) & 0o077, 0, "the owner's alone");
        assert_eq!(mode(&dir.path().join("s.pid")), 0o600);
        assert_eq!(entries(dir.path()), 2);
        drop(files);
        assert_eq!(entries(dir.path()), 0);
    }

    #[test]
    fn a_mistake_leaves_nothing_behind() {
        own_umask();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let no_group = open(&at(&path, Some("no-such-group")));
        assert!(matches!(no_group, Err(StartError::NoGroup { .. })));
        let no_dir = open(&at(&dir.path().join("no/s"), None));
        assert!(matches!(no_dir, Err(StartError::NoSocketDir { .. })));
        let long = dir.path().join("l".repeat(200));
        assert!(matches!(
            open(&at(&long, None)),
            Err(StartError::File { .. })
        ));
        assert_eq!(entries(dir.path()), 0);

        fs::write(&path, "precious").unwrap();
        let not_a_socket = open(&at(&path, None));
        assert!(matches!(not_a_socket, Err(StartError::NotASocket { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert_eq!(entries(dir.path()), 1);
    }

    #[test]
    fn an_inherited_descriptor_must_be_a_listening_socket() {
        let (end, _other) = UnixStream::pair().unwrap();
        for fd in [-1, i32::MAX, end.as_raw_fd()] {
            let refused = open(&Endpoint::Inherited(fd));
            assert!(
                matches!(refused, Err(StartError::NotListening { .. })),
                "{fd}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let socket = UnixListener::bind(&path).unwrap();
        let (listener, _) = open(&Endpoint::Inherited(socket.into_raw_fd())).unwrap();
        UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
    }
}
