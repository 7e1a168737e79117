// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The packets between client and server of views, 16 bytes each.
//!
//! Both ends are one program, forked, so there is no version and no negotiation. Still each end
//! checks what it reads: a guest may have taken over the client.
//!
//! | byte 0 | byte 1 | bytes 8 to 15 | descriptor | from |
//! |---|---|---|---|---|
//! | 1 prepare | 0 read-only, 1 read-write | | the file | client |
//! | 2 ready | 0 guards no file, 1 guards files, from 2 why it can't | errno | the mount | server |
//! | 3 unavailable | reason | errno | | server |
//! | 4 prepared | | name of the view | | server |
//! | 5 refused | 1 not regular, 2 not allowed, 3 failed, 4 not stored | errno | | server |
//! | 6 guard | | name of the view | | client |
//! | 7 guarded | 0 yes, 1 no | errno | | server |

use std::io;

use thiserror::Error;

use super::ViewError;
use crate::units::Access;

/// The length of every packet in bytes.
pub(super) const PACKET: usize = 16;

/// The name of a view in the server's mount: a number, written in decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ViewName(pub(super) u64);

/// The client's request to prepare a view of the descriptor in the same packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prepare(pub(super) Access);

/// The client's request to guard the file of an open view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GuardFile(pub(super) ViewName);

/// The server's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The first packet, with the mount: views can be made, and their files are guarded or not.
    Ready(Guarding),
    /// The first packet: there will be no views.
    Unavailable(Unavailable),
    /// The view can be opened once, by this name.
    Prepared(ViewName),
    /// There will be no view of that file.
    Refused(Refusal),
    /// The file of the view is guarded.
    Guarded,
    /// The file is not guarded, for this errno.
    NotGuarded(i32),
}

/// Whether the server keeps others from truncating the files of views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guarding {
    /// The server was not asked to.
    Off,
    /// It does, on request for each view.
    On,
    /// It was asked to, and can't.
    Impossible(Unguarded),
}

/// Why a host can't keep others from truncating files that have a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unguarded {
    /// The kernel is older than the feature, or built without it.
    #[error("it takes Linux 6.14 or newer, with CONFIG_FANOTIFY_ACCESS_PERMISSIONS")]
    Kernel,
    /// The file system sends no event before it truncates.
    #[error("the file system of the share can't be watched: ext4, xfs and btrfs can")]
    FileSystem,
    /// Other processes' system calls can't be read.
    #[error(
        "/proc/PID/syscall of other processes can't be read: it takes CAP_SYS_PTRACE, and \
         kernel.yama.ptrace_scope below 3"
    )]
    NoCalls,
    /// fanotify failed in some other way.
    #[error("fanotify failed: {}", describe(*.0))]
    NoEvents(i32),
}

/// Why the server prepares no view of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NotRegular,
    NotAllowed,
    Failed(i32),
    NotStored,
}

/// Why a host can't make views, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// `/dev/fuse` can't be opened.
    #[error(
        "/dev/fuse can't be opened ({}): load the kernel module fuse, or pass the device into \
         the container",
        describe(*.0)
    )]
    NoDevice(i32),
    /// The process lacks the capability.
    #[error(
        "FUSE passthrough needs CAP_SYS_ADMIN in the host's own user namespace: start the server \
         as root, not in a user namespace, and in a container with that capability"
    )]
    NotPermitted,
    /// The kernel is older than the feature, or built without it.
    #[error(
        "this kernel has no FUSE passthrough: Linux 6.9 or newer is needed, with \
         CONFIG_FUSE_PASSTHROUGH"
    )]
    NoPassthrough,
    /// The mount could not be made for some other reason.
    #[error("the private FUSE mount could not be made: {}", describe(*.0))]
    Mount(i32),
}

fn describe(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Prepare {
    pub(super) fn encode(self) -> [u8; PACKET] {
        packet(1, u8::from(self.0 == Access::ReadWrite), 0)
    }

    pub(super) fn decode(bytes: [u8; PACKET]) -> Option<Self> {
        match (bytes[0], bytes[1]) {
            (1, 0) => Some(Self(Access::ReadOnly)),
            (1, 1) => Some(Self(Access::ReadWrite)),
            _ => None,
        }
    }
}

impl GuardFile {
    pub(super) fn encode(self) -> [u8; PACKET] {
        packet(6, 0, self.0.0)
    }

    pub(super) fn decode(bytes: [u8; PACKET]) -> Option<Self> {
        match fields(bytes) {
            (6, 0, name) => Some(Self(ViewName(name))),
            _ => None,
        }
    }
}

impl Answer {
    pub(super) fn encode(self) -> [u8; PACKET] {
        match self {
            Self::Ready(Guarding::Off) => packet(2, 0, 0),
            Self::Ready(Guarding::On) => packet(2, 1, 0),
            Self::Ready(Guarding::Impossible(reason)) => match reason {
                Unguarded::Kernel => packet(2, 2, 0),
                Unguarded::FileSystem => packet(2, 3, 0),
                Unguarded::NoCalls => packet(2, 4, 0),
                Unguarded::NoEvents(errno) => packet(2, 5, errno as u64),
            },
            Self::Unavailable(Unavailable::NoDevice(errno)) => packet(3, 1, errno as u64),
            Self::Unavailable(Unavailable::NotPermitted) => packet(3, 2, 0),
            Self::Unavailable(Unavailable::NoPassthrough) => packet(3, 3, 0),
            Self::Unavailable(Unavailable::Mount(errno)) => packet(3, 4, errno as u64),
            Self::Prepared(ViewName(name)) => packet(4, 0, name),
            Self::Refused(Refusal::NotRegular) => packet(5, 1, 0),
            Self::Refused(Refusal::NotAllowed) => packet(5, 2, 0),
            Self::Refused(Refusal::Failed(errno)) => packet(5, 3, errno as u64),
            Self::Guarded => packet(7, 0, 0),
            Self::NotGuarded(errno) => packet(7, 1, errno as u64),
            Self::Refused(Refusal::NotStored) => packet(5, 4, 0),
        }
    }

    pub(super) fn decode(bytes: [u8; PACKET]) -> Option<Self> {
        let (kind, detail, value) = fields(bytes);
        let errno = value as i32;
        Some(match (kind, detail) {
            (2, 0) => Self::Ready(Guarding::Off),
            (2, 1) => Self::Ready(Guarding::On),
            (2, 2) => Self::Ready(Guarding::Impossible(Unguarded::Kernel)),
            (2, 3) => Self::Ready(Guarding::Impossible(Unguarded::FileSystem)),
            (2, 4) => Self::Ready(Guarding::Impossible(Unguarded::NoCalls)),
            (2, 5) => Self::Ready(Guarding::Impossible(Unguarded::NoEvents(errno))),
            (3, 1) => Self::Unavailable(Unavailable::NoDevice(errno)),
            (3, 2) => Self::Unavailable(Unavailable::NotPermitted),
            (3, 3) => Self::Unavailable(Unavailable::NoPassthrough),
            (3, 4) => Self::Unavailable(Unavailable::Mount(errno)),
            (4, 0) => Self::Prepared(ViewName(value)),
            (5, 1) => Self::Refused(Refusal::NotRegular),
            (5, 2) => Self::Refused(Refusal::NotAllowed),
            (5, 3) => Self::Refused(Refusal::Failed(errno)),
            (7, 0) => Self::Guarded,
            (7, 1) => Self::NotGuarded(errno),
            (5, 4) => Self::Refused(Refusal::NotStored),
            _ => return None,
        })
    }
}

impl Refusal {
    /// The refusal of a request for `access`, as the error for the client's caller.
    pub(super) fn into_error(self, access: Access) -> ViewError {
        match self {
            Self::NotRegular => ViewError::NotRegular,
            Self::NotAllowed => ViewError::NotAllowed(access),
            Self::NotStored => ViewError::NotStored,
            Self::Failed(errno) => ViewError::System {
                what: "prepare a view",
                source: describe(errno),
            },
        }
    }
}

fn packet(kind: u8, detail: u8, value: u64) -> [u8; PACKET] {
    let mut bytes = [0; PACKET];
    bytes[0] = kind;
    bytes[1] = detail;
    bytes[8..].copy_from_slice(&value.to_le_bytes());
    bytes
}

fn fields(bytes: [u8; PACKET]) -> (u8, u8, u64) {
    let [kind, detail, _, _, _, _, _, _, value @ ..] = bytes;
    (kind, detail, u64::from_le_bytes(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        for access in [Access::ReadOnly, Access::ReadWrite] {
            assert_eq!(
                Prepare::decode(Prepare(access).encode()),
                Some(Prepare(access))
            );
        }
        let ask = GuardFile(ViewName(u64::MAX));
        assert_eq!(GuardFile::decode(ask.encode()), Some(ask));
        let impossible = |reason| Answer::Ready(Guarding::Impossible(reason));
        for answer in [
            Answer::Ready(Guarding::Off),
            Answer::Ready(Guarding::On),
            impossible(Unguarded::Kernel),
            impossible(Unguarded::FileSystem),
            impossible(Unguarded::NoCalls),
            impossible(Unguarded::NoEvents(libc::EMFILE)),
            Answer::Guarded,
            Answer::NotGuarded(libc::EOPNOTSUPP),
            Answer::Unavailable(Unavailable::NoDevice(libc::ENOENT)),
            Answer::Unavailable(Unavailable::NotPermitted),
            Answer::Unavailable(Unavailable::NoPassthrough),
            Answer::Unavailable(Unavailable::Mount(libc::ENOMEM)),
            Answer::Prepared(ViewName(u64::MAX)),
            Answer::Refused(Refusal::NotRegular),
            Answer::Refused(Refusal::NotAllowed),
            Answer::Refused(Refusal::Failed(libc::EMFILE)),
            Answer::Refused(Refusal::NotStored),
        ] {
            assert_eq!(Answer::decode(answer.encode()), Some(answer));
        }
    }

    #[test]
    fn other_bytes_are_no_message() {
        for (kind, detail) in [
            (0, 0),
            (1, 2),
            (2, 6),
            (3, 0),
            (3, 5),
            (4, 1),
            (5, 0),
            (6, 1),
            (7, 2),
            (255, 255),
        ] {
            let bytes = packet(kind, detail, 7);
            assert_eq!(
                (Prepare::decode(bytes), Answer::decode(bytes)),
                (None, None)
            );
            assert_eq!(GuardFile::decode(bytes), None);
        }
    }
}
