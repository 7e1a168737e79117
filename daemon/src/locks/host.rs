// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The system calls on the host's locks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::fs::FlockOperation;

use super::range::{Kind, Lock, Range};

/// Whether a call waits for the owners of other locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It fails with EAGAIN.
    None,
    /// It waits, until a signal comes (EINTR).
    UntilSignal,
}

fn form(range: Range, kind: Option<Kind>) -> libc::flock {
    let (l_start, l_len) = range.start_and_len();
    let l_type = match kind {
        None => libc::F_UNLCK,
        Some(Kind::Read) => libc::F_RDLCK,
        Some(Kind::Write) => libc::F_WRLCK,
    };
    libc::flock {
        // The constants are small; the types differ between libraries.
        l_type: l_type as _,
        l_whence: libc::SEEK_SET as _,
        l_start,
        l_len,
        // Has to be 0 for OFD locks.
        l_pid: 0,
    }
}

/// Gives the bytes this lock, or none, for the file's description (`F_OFD_SETLK`).
pub(super) fn set(
    file: impl AsFd,
    range: Range,
    kind: Option<Kind>,
    patience: Patience,
) -> io::Result<()> {
    let lock = form(range, kind);
    let call = match patience {
        Patience::None => FcntlArg::F_OFD_SETLK(&lock),
        Patience::UntilSignal => FcntlArg::F_OFD_SETLKW(&lock),
    };
    match fcntl(file, call) {
        Ok(_) => Ok(()),
        // POSIX allows both.
        Err(nix::Error::EACCES) => Err(nix::Error::EAGAIN.into()),
        Err(error) => Err(error.into()),
    }
}

/// A lock of another description that keeps this one from the bytes (`F_OFD_GETLK`).
pub(super) fn conflict(file: BorrowedFd<'_>, range: Range, kind: Kind) -> io::Result<Option<Lock>> {
    let mut lock = form(range, Some(kind));
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    let kind = match libc::c_int::from(lock.l_type) {
        libc::F_RDLCK => Kind::Read,
        libc::F_WRLCK => Kind::Write,
        _ => return Ok(None),
    };
    Ok(Some(Lock {
        range: Range::reported(lock.l_start, lock.l_len),
        kind,
        pid: 0,
    }))
}

/// flock(2), for the file's description.
pub(super) fn flock(file: impl AsFd, kind: Option<Kind>, patience: Patience) -> io::Result<()> {
    use FlockOperation::{
        LockExclusive, LockShared, NonBlockingLockExclusive, NonBlockingLockShared, Unlock,
    };
    let operation = match (kind, patience) {
        (None, _) => Unlock,
        (Some(Kind::Read), Patience::None) => NonBlockingLockShared,
        (Some(Kind::Read), Patience::UntilSignal) => LockShared,
        (Some(Kind::Write), Patience::None) => NonBlockingLockExclusive,
        (Some(Kind::Write), Patience::UntilSignal) => LockExclusive,
    };
    Ok(rustix::fs::flock(file, operation)?)
}

/// What a descriptor was opened for (`F_GETFL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFor {
    pub(super) reading: bool,
    pub(super) writing: bool,
}

impl OpenFor {
    pub(super) fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFL)?);
        let mode = flags & OFlag::O_ACCMODE;
        Ok(Self {
            reading: mode != OFlag::O_WRONLY,
            writing: mode != OFlag::O_RDONLY,
        })
    }

    /// fcntl(2): a shared lock takes a descriptor for reading, an exclusive lock one for writing.
    pub(super) fn allows(self, kind: Option<Kind>) -> bool {
        match kind {
            None => true,
            Some(Kind::Read) => self.reading,
            Some(Kind::Write) => self.writing,
        }
    }
}
