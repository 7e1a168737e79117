// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The client of the service of views, in the process that serves the share.
//!
//! It works without any capability, in another mount, process or network namespace, behind another
//! root directory, and under a system call filter that allows `sendmsg`, `recvmsg`, `openat`,
//! `fcntl`, `newfstatat`, `fstat` and `close`.
//!
//! The client opens a prepared view itself, with `openat` in the server's mount; the server does
//! not send the view's descriptor. An open waits, unkillable, for the answer of the FUSE server. So
//! a process that opens a file in its own FUSE mount might never end if it is killed between open
//! and answer; a process that waits for another one can end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::Errno;

use super::lost::LostPages;
use super::socket::{Missing, Packet, Packets};
use super::wire::{Answer, GuardFile, Guarding, PACKET, Prepare, Unguarded, ViewName};
use super::{ViewError, ViewSource};
use crate::units::Access;

/// The client's end, before it is known whether this host can make views.
///
/// ```text
///   StartingViews ── wait_ready ──▶ ViewClient
///                         └───────▶ ViewError, and the service is over
/// ```
#[derive(Debug)]
pub struct StartingViews {
    socket: Packets,
    lost: LostPages,
}

/// A source of views that another process serves. Any number of threads may use it at once.
#[derive(Debug)]
pub struct ViewClient {
    mount: OwnedFd,
    lost: LostPages,
    /// Held for a request and its answer, but not during the open of the view, which takes as long
    /// as the file's own file system likes.
    socket: Mutex<Packets>,
    guarding: Guarding,
    /// Logs the first file that can't be guarded, once.
    unguarded_file: Once,
}

impl StartingViews {
    pub(super) fn new(socket: Packets, lost: LostPages) -> Self {
        Self { socket, lost }
    }

    /// Waits for the server's first answer, whether it can make views, and opens one as a test.
    ///
    /// # Errors
    /// [`ViewError::Unavailable`], with a sentence for the operator, if this host can't make views;
    /// else the error that occurred.
    pub fn wait_ready(self) -> Result<ViewClient, ViewError> {
        let Packet {
            bytes, descriptor, ..
        } = receive(&self.socket)?;
        match (Answer::decode(bytes), descriptor) {
            (Some(Answer::Ready(guarding)), Some(mount)) => {
                let client = ViewClient {
                    mount,
                    lost: self.lost,
                    socket: Mutex::new(self.socket),
                    guarding,
                    unguarded_file: Once::new(),
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
    /// Opens a view of an empty file in memory. A mount alone proves nothing: the kernel checks the
    /// right to back an open by a file only at the open.
    fn prove(&self) -> Result<(), ViewError> {
        let file = rustix::fs::memfd_create("view-probe", MemfdFlags::CLOEXEC)
            .map_err(|errno| ViewError::system("make a file in memory", errno))?;
        self.open_view(file.as_fd(), Access::ReadWrite).map(drop)
    }

    /// Why other processes can truncate the files of views, although the server was to refuse that.
    pub fn unguarded(&self) -> Option<Unguarded> {
        match self.guarding {
            Guarding::Off | Guarding::On => None,
            Guarding::Impossible(reason) => Some(reason),
        }
    }

    fn open_view(
        &self,
        file: BorrowedFd<'_>,
        access: Access,
    ) -> Result<(OwnedFd, ViewName), ViewError> {
        match self.ask(&Prepare(access).encode(), Some(file))? {
            Answer::Prepared(name) => Ok((self.open_prepared(name, access)?, name)),
            Answer::Refused(refusal) => Err(refusal.into_error(access)),
            _ => Err(OTHER_ANSWER),
        }
    }

    /// Asks the server to guard the file of an open view. This comes after the open, so that
    /// accesses through the view itself cause no events. A file that can't be guarded is served all
    /// the same.
    fn guard(&self, name: ViewName) -> Result<(), ViewError> {
        match self.ask(&GuardFile(name).encode(), None)? {
            Answer::Guarded => {}
            Answer::NotGuarded(errno) => self.unguarded_file.call_once(|| {
                log::warn!(
                    "other processes of this host can truncate a mapped file ({}), and \
                     perhaps further ones",
                    io::Error::from_raw_os_error(errno)
                );
            }),
            _ => return Err(OTHER_ANSWER),
        }
        Ok(())
    }

    fn ask(
        &self,
        request: &[u8; PACKET],
        file: Option<BorrowedFd<'_>>,
    ) -> Result<Answer, ViewError> {
        // No panic can leave the socket half used, so a panic elsewhere is no reason to stop.
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.send(request, file).map_err(|errno| match errno {
            Errno::PIPE | Errno::CONNRESET => ViewError::ServerGone,
            other => ViewError::system("ask for a view", other),
        })?;
        Answer::decode(receive(&socket)?.bytes).ok_or(OTHER_ANSWER)
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
    fn lost_pages(&self) -> Option<LostPages> {
        Some(self.lost.clone())
    }

    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
        // The server checks the descriptor's access, and has to do so anyway.
        let (view, name) = self.open_view(file, access)?;
        if self.guarding == Guarding::On {
            self.guard(name)?;
        }
        Ok(view)
    }
}

const OTHER_ANSWER: ViewError = ViewError::Protocol("a request was answered by something else");

fn receive(socket: &Packets) -> Result<Packet<PACKET>, ViewError> {
    socket.receive().map_err(|missing| match missing {
        Missing::Closed => ViewError::ServerGone,
        Missing::Malformed => ViewError::Protocol("a packet has the wrong length"),
        Missing::System(errno) => ViewError::system("hear about a view", errno),
    })
}
