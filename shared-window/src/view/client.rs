// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The server of the share's end of the service of views.
//!
//! Works without any capability, in another mount, process or network namespace, behind another
//! root directory, and under a system call filter that allows `sendmsg`, `recvmsg`, `openat`,
//! `fcntl`, `newfstatat`, `fstat` and `close`.
//!
//! The client opens a prepared view itself, with `openat` in the server's mount, rather than being
//! sent the view's descriptor. An open waits, unkillable, for the answer of the FUSE server. A
//! process that opens in a FUSE mount of its own can therefore never end when it is killed between
//! the two halves; one process that waits for another can.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::Errno;

use super::socket::{Missing, Packet, Packets};
use super::wire::{Answer, PACKET, Prepare, ViewName};
use super::{ViewError, ViewSource};
use crate::units::Access;

/// The client's end before it is known whether this host can make views.
///
/// ```text
///   StartingViews ── wait_ready ──▶ ViewClient
///                         └───────▶ ViewError, and the service is over
/// ```
#[derive(Debug)]
pub struct StartingViews {
    socket: Packets,
}

/// A source of views that another process serves. Any number of threads may use it at once.
#[derive(Debug)]
pub struct ViewClient {
    mount: OwnedFd,
    /// Held for a request and its answer. Not while the view is opened, which takes as long as the
    /// file's own file system likes.
    socket: Mutex<Packets>,
}

impl StartingViews {
    pub(super) fn new(socket: Packets) -> Self {
        Self { socket }
    }

    /// Waits until the server has said whether it can make views, and opens one to be sure.
    ///
    /// # Errors
    /// [`ViewError::Unavailable`] with a sentence for the operator when this host can't make
    /// views, else whatever went wrong on the way.
    pub fn wait_ready(self) -> Result<ViewClient, ViewError> {
        let Packet { bytes, descriptor } = receive(&self.socket)?;
        match (Answer::decode(bytes), descriptor) {
            (Some(Answer::Ready), Some(mount)) => {
                let client = ViewClient {
                    mount,
                    socket: Mutex::new(self.socket),
                };
                client.prove()?;
                Ok(client)
            }
            (Some(Answer::Unavailable(reason)), None) => Err(reason.into()),
            _ => Err(ViewError::Protocol(
                "the first packet says nothing about the mount",
            )),
        }
    }
}

impl ViewClient {
    /// Opens a view of an empty file in memory. A mount is no proof: the kernel checks the right to
    /// back an open by a file only when that is tried.
    fn prove(&self) -> Result<(), ViewError> {
        let file = rustix::fs::memfd_create("view-probe", MemfdFlags::CLOEXEC)
            .map_err(|errno| ViewError::system("make a file in memory", errno))?;
        self.open(file.as_fd(), Access::ReadWrite).map(drop)
    }

    fn ask(&self, file: BorrowedFd<'_>, access: Access) -> Result<Packet<PACKET>, ViewError> {
        // Nothing in between can leave the socket half used, so a panic elsewhere is no reason to
        // stop.
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket
            .send(&Prepare(access).encode(), Some(file))
            .map_err(|errno| match errno {
                Errno::PIPE | Errno::CONNRESET => ViewError::ServerGone,
                other => ViewError::system("ask for a view", other),
            })?;
        receive(&socket)
    }

    fn open_prepared(&self, name: ViewName, access: Access) -> Result<OwnedFd, ViewError> {
        let mode = match access {
            Access::ReadOnly => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        rustix::io::retry_on_intr(|| {
            rustix::fs::openat(
                &self.mount,
                name.0.to_string(),
                mode | OFlags::CLOEXEC | OFlags::NOFOLLOW,
                Mode::empty(),
            )
        })
        .map_err(ViewError::from_open)
    }
}

impl ViewSource for ViewClient {
    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
        // Whether the descriptor allows that much is looked at by the server, which has to anyway.
        let answer = self.ask(file, access)?;
        match Answer::decode(answer.bytes) {
            Some(Answer::Prepared(name)) => self.open_prepared(name, access),
            Some(Answer::Refused(refusal)) => Err(refusal.into_error(access)),
            _ => Err(ViewError::Protocol(
                "a request was answered by something else",
            )),
        }
    }
}
fn receive(socket: &Packets) -> Result<Packet<PACKET>, ViewError> {
    socket.receive().map_err(|missing| match missing {
        Missing::Closed => ViewError::ServerGone,
        Missing::Malformed => ViewError::Protocol("a packet has the wrong length"),
        Missing::System(errno) => ViewError::system("hear about a view", errno),
    })
}
