// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why the daemon could not start.
//!
//! The operator can fix each of these, so each message says how, as far as that is known.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::config::{CapabilityError, MetricsAddress};

/// Why the daemon could not start, or stopped serving.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `--shared-dir` is no directory.
    #[error("can't share {dir}: it is no directory; check --shared-dir")]
    NoShare {
        /// The path.
        dir: String,
    },
    /// `--shared-dir` is a file. Linux can only mount a directory.
    #[error(
        "can't share {dir}: it is a file, and a guest can mount a directory only; share a \
         directory that has it alone, by a hard link or a bind mount"
    )]
    ShareIsFile {
        /// The path.
        dir: String,
    },
    /// A sandbox option that needs other privileges.
    #[error("{option} works only {needs}")]
    Privileges {
        /// The option.
        option: &'static str,
        /// What it needs, as the end of the sentence.
        needs: &'static str,
    },
    /// `--modcaps` drops a capability that the daemon needs.
    #[error(transparent)]
    Capabilities(#[from] CapabilityError),
    /// The limit of open files can't be set.
    #[error("can't set the limit of open files: {reason}; see --rlimit-nofile")]
    FileLimit {
        /// Why not.
        reason: String,
    },
    /// The limit of open files leaves none for the guest.
    #[error(
        "the limit of {limit} open files is too small, at least {least} are needed; \
         raise --rlimit-nofile"
    )]
    FileLimitTooSmall {
        /// The limit.
        limit: u64,
        /// What the daemon itself needs, and one file.
        least: u64,
    },
    /// The directory for the socket does not exist.
    #[error("can't create the socket: {dir} is no directory; create it, or change {option}")]
    NoSocketDir {
        /// The directory.
        dir: PathBuf,
        /// The option that names the socket.
        option: &'static str,
    },
    /// Another daemon holds the pid file.
    #[error(
        "another daemon uses this socket: {pid_file} is locked by {holder}; stop that one, or \
         change {option}"
    )]
    InUse {
        /// The pid file.
        pid_file: PathBuf,
        /// The process, as far as the pid file shows.
        holder: String,
        /// The option that names the socket.
        option: &'static str,
    },
    /// A signal came before the daemon could serve. This is no failure.
    #[error("asked to stop")]
    AskedToStop,
    /// The socket's path exists and is not a socket.
    #[error("{path} exists and is not a socket; remove it, or change {option}")]
    NotASocket {
        /// The path.
        path: PathBuf,
        /// The option that names the socket.
        option: &'static str,
    },
    /// The address of `--metrics` can't be bound.
    #[error("can't listen at {address}; change --metrics (port 0 takes a free one)")]
    Metrics {
        /// The address.
        address: MetricsAddress,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// `--fd` is no listening socket.
    #[error("--fd={fd} is not a listening Unix socket; bind and listen before starting the daemon")]
    NotListening {
        /// The descriptor.
        fd: RawFd,
    },
    /// The socket's group is unknown.
    #[error("there is no group '{group}' on this system; check --socket-group")]
    NoGroup {
        /// The name.
        group: String,
    },
    /// A system call on a file failed.
    #[error("can't {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another system call failed.
    #[error("can't {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// virtiofsd's sandbox failed.
    #[error("can't enter the sandbox; --sandbox=chroot or none ask for less")]
    Sandbox(#[source] virtiofsd::sandbox::Error),
    /// The system call filter failed.
    #[error("can't load the system call filter; see --seccomp")]
    Seccomp(#[source] libseccomp::error::SeccompError),
    /// Capabilities could not be dropped.
    #[error("can't drop capabilities; see --modcaps")]
    DropCapabilities(#[source] capng::Error),
    /// The shared directory can't be opened.
    #[error("can't open the share {dir}")]
    FileSystem {
        /// The path.
        dir: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The back end failed.
    #[error("serving ended")]
    Serve(#[source] crate::device::SessionError),
    /// A bug: the back end panicked.
    #[error("the thread that serves has panicked")]
    Panicked,
}

impl StartError {
    pub(super) fn file(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { what, path, source }
    }

    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
