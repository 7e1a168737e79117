// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the VMM connects.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// A socket that the daemon creates, with a pid file beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFile {
    /// Path of the socket, as given on the command line.
    pub path: PathBuf,
    /// Name of the group that may connect (`--socket-group`); without one only the daemon's own user.
    pub group: Option<String>,
}

impl SocketFile {
    /// Path of the pid file: the socket's with `.pid` added.
    #[must_use]
    pub fn pid_file(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".pid");
        name.into()
    }

    /// The directory that the socket is created in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }
}

/// Where the VMM connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket in the file system.
    Create(SocketFile),
    /// A listening socket inherited from the parent process.
    Inherited(RawFd),
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::SocketFile;

    #[test]
    fn the_pid_file_lies_beside_the_socket() {
        for (path, directory, pid) in [
            ("/run/a.sock", "/run", "/run/a.sock.pid"),
            ("a", ".", "a.pid"),
            ("/a", "/", "/a.pid"),
        ] {
            let socket = SocketFile {
                path: path.into(),
                group: None,
            };
            assert_eq!(socket.directory(), Path::new(directory));
            assert_eq!(socket.pid_file(), Path::new(pid));
        }
    }
}
