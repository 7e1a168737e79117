// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a GETLK, SETLK or SETLKW asks for.

use virtiofsd::filesystem::Context;
use virtiofsd::fuse::{FileLock, InHeader, LK_FLOCK, LkIn, LkOut};

use super::deadlock::{Claim, Owner};
use super::range::{Kind, Lock, Range};
use crate::fs::NodeId;

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The file, by flock(2).
    File,
    /// Bytes, by fcntl(2).
    Bytes(Range),
}

/// A message about a lock.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    pub(super) context: Context,
    /// The request's number, by which it may be interrupted.
    pub(super) unique: u64,
    pub(super) node: NodeId,
    pub(super) handle: u64,
    pub(super) owner: Owner,
    pub(super) scope: Scope,
    /// `None` unlocks.
    pub(super) kind: Option<Kind>,
    pub(super) pid: u32,
    /// Whether the request waits for a lock that another owner holds.
    pub(super) waits: bool,
}

/// The message makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AskError {
    /// The kind is none of F_RDLCK, F_WRLCK and F_UNLCK.
    #[error("{0} is no kind of lock")]
    Kind(u32),
    /// The range ends before it begins, or beyond the largest file.
    #[error("bytes {first} to {last} are no range of a file")]
    Range {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
}

impl Ask {
    pub(crate) fn new(header: &InHeader, message: &LkIn, waits: bool) -> Result<Self, AskError> {
        let FileLock {
            start: first,
            end: last,
            type_,
            pid,
        } = message.lk;
        let scope = match message.lk_flags & LK_FLOCK {
            0 => {
                let range = Range::new(first, last);
                Scope::Bytes(range.ok_or(AskError::Range { first, last })?)
            }
            _ => Scope::File,
        };
        Ok(Self {
            context: Context::from(*header),
            unique: header.unique,
            node: NodeId(header.nodeid),
            handle: message.fh,
            owner: Owner(message.owner),
            scope,
            kind: kind(type_)?,
            pid,
            waits,
        })
    }

    pub(super) fn claim(&self, range: Range, kind: Kind) -> Claim {
        Claim {
            node: self.node,
            owner: self.owner,
            range,
            kind,
        }
    }
}

fn kind(number: u32) -> Result<Option<Kind>, AskError> {
    match number.cast_signed() {
        libc::F_RDLCK => Ok(Some(Kind::Read)),
        libc::F_WRLCK => Ok(Some(Kind::Write)),
        libc::F_UNLCK => Ok(None),
        _ => Err(AskError::Kind(number)),
    }
}

/// The answer to GETLK: the lock in the way, or F_UNLCK.
pub(crate) fn found(lock: Option<Lock>) -> LkOut {
    let lk = match lock {
        None => FileLock {
            type_: libc::F_UNLCK.cast_unsigned(),
            ..FileLock::default()
        },
        Some(Lock { range, kind, pid }) => FileLock {
            start: range.first,
            end: range.last,
            type_: match kind {
                Kind::Read => libc::F_RDLCK,
                Kind::Write => libc::F_WRLCK,
            }
            .cast_unsigned(),
            pid,
        },
    };
    LkOut { lk }
}
