// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The server of the service of views, in the companion process.
//!
//! FUSE passthrough requires CAP_SYS_ADMIN in the host's own user namespace. A server of a share
//! drops it before it reads the first byte of a guest. A process that was forked before keeps it,
//! and runs this. The process takes descriptors from the server of the share, which a guest may
//! have taken over. So it makes a view only of a descriptor that it was sent, and with no more
//! access than that descriptor has: the kernel opens the backing file anew, with this process's
//! rights, and does not compare.
//!
//! It keeps no descriptor after its view is open, unless it guards files, and opens no view itself
//! (see the client).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use thiserror::Error;

use super::guard::Guard;
use super::instance::Instance;
use super::lost::LostPages;
use super::passthrough::SharedSlots;
use super::slots::{Prepared, Slot};
use super::socket::{Missing, Packet, Packets};
use super::wire::{
    Answer, GuardFile, Guarding, PACKET, Prepare, Refusal, Unavailable, Unguarded, ViewName,
};
use super::{ViewError, check_descriptor, harden};

/// The server's end, before it serves.
///
/// ```text
///   ViewServer ── serve_until_closed ──▶ (mount, tell, prepare view after view) ──▶ client gone
/// ```
#[derive(Debug)]
pub struct ViewServer {
    socket: Packets,
    lost: LostPages,
    keep: CapabilitySet,
    /// The directory of the files to guard.
    guarded: Option<PathBuf>,
}

/// The answer to a packet that is no request.
const NO_REQUEST: Refusal = Refusal::Failed(libc::EPROTO);

/// How serving ended.
enum Ended {
    /// No process holds the client's end any more.
    ClientGone,
    /// The socket failed.
    Socket(Errno),
}

/// Why a server of views ended before its client did.
#[derive(Debug, Error)]
pub enum ViewServerError {
    /// A privilege could not be dropped.
    #[error("the server of views could not give up its privileges")]
    Privileges(#[source] io::Error),
    /// The socket to the client failed.
    #[error("the socket to the client of views failed")]
    Socket(#[source] io::Error),
}

impl ViewServer {
    pub(super) fn new(socket: Packets, lost: LostPages) -> Self {
        Self {
            socket,
            lost,
            keep: CapabilitySet::empty(),
            guarded: None,
        }
    }

    /// Keeps the capabilities for removing files of other users (CAP_DAC_OVERRIDE, CAP_FOWNER),
    /// for a process that has to clean up when its client is gone.
    pub fn keep_right_to_remove_files(mut self) -> Self {
        self.keep |= harden::TO_REMOVE_FILES;
        self
    }

    /// Keeps other processes from truncating a file as long as it has a view: they get ETXTBSY. The
    /// client's truncations are allowed. `share` is the directory of the files. This needs Linux
    /// 6.14, ext4, xfs or btrfs, and CAP_SYS_PTRACE beside CAP_SYS_ADMIN, which is kept for it
    /// (files of other users also need [`ViewServer::keep_right_to_remove_files`]). If one is
    /// missing, [`ViewClient::unguarded`](super::ViewClient::unguarded) says so.
    pub fn refuse_truncation(mut self, share: impl Into<PathBuf>) -> Self {
        self.guarded = Some(share.into());
        self.keep |= harden::TO_SEE_CALLS;
        self
    }

    /// Mounts, reports the result to the client, and serves until no process holds the client's end
    /// any more. If the mount failed, only waits for that end.
    ///
    /// Names the process, makes it undumpable, and drops all its capabilities except CAP_SYS_ADMIN
    /// for good: meant for a process that does nothing else, and has no other thread yet. Inherited
    /// descriptors stay open; the caller has to close them.
    ///
    /// # Errors
    /// [`ViewServerError`] if it had to stop although the client still exists.
    pub fn serve_until_closed(self) -> Result<(), ViewServerError> {
        let privileges = |errno: Errno| ViewServerError::Privileges(errno.into());
        harden::enclose().map_err(privileges)?;
        harden::drop_capabilities(self.keep).map_err(privileges)?;
        let guard = self.guarded.as_deref().map(Guard::start);
        let guard = match (guard, self.socket.ask_for_senders()) {
            (Some(Ok(_)), Err(errno)) => Some(Err(Unguarded::NoEvents(errno.raw_os_error()))),
            (guard, _) => guard,
        };
        let ended = match Instance::start(matches!(guard, Some(Ok(_))), self.lost.clone()) {
            Ok(instance) => self.serve(instance, guard),
            Err(reason) => self.decline(reason),
        };
        match ended {
            Ended::ClientGone => Ok(()),
            Ended::Socket(errno) => Err(ViewServerError::Socket(errno.into())),
        }
    }

    fn serve(&self, instance: Instance, guard: Option<Result<Arc<Guard>, Unguarded>>) -> Ended {
        let Instance { mount, slots } = instance;
        let (guarding, guard) = match guard {
            None => (Guarding::Off, None),
            Some(Err(reason)) => (Guarding::Impossible(reason), None),
            Some(Ok(guard)) => (Guarding::On, Some(guard)),
        };
        if let Err(ended) = self.answer(Answer::Ready(guarding), Some(mount)) {
            return ended;
        }
        self.answer_each(|packet| match (GuardFile::decode(packet.bytes), &guard) {
            (Some(GuardFile(name)), Some(guard)) => {
                if let Some(client) = packet.sender {
                    guard.serves(client.as_raw_nonzero().get());
                }
                guard_file(guard, Slot(name.0), &slots)
            }
            _ => prepare(packet, &slots),
        })
    }

    /// Reports why there are no views, and waits for the client to end.
    fn decline(&self, reason: Unavailable) -> Ended {
        let answer = Answer::Unavailable(reason);
        match self.answer(answer, None) {
            Ok(()) => self.answer_each(|_| answer),
            Err(ended) => ended,
        }
    }

    /// Answers each packet until the client is gone. An invalid packet is refused, not fatal: a
    /// client that has been taken over must not end the service early.
    fn answer_each(&self, reply: impl Fn(Packet<PACKET>) -> Answer) -> Ended {
        loop {
            let answer = match self.socket.receive() {
                Ok(packet) => reply(packet),
                Err(Missing::Malformed) => Answer::Refused(NO_REQUEST),
                Err(Missing::Closed) => return Ended::ClientGone,
                Err(Missing::System(errno)) => return Ended::Socket(errno),
            };
            if let Err(ended) = self.answer(answer, None) {
                return ended;
            }
        }
    }

    fn answer(&self, answer: Answer, mount: Option<OwnedFd>) -> Result<(), Ended> {
        self.socket
            .send(&answer.encode(), mount.as_ref().map(AsFd::as_fd))
            .map_err(|errno| match errno {
                Errno::PIPE | Errno::CONNRESET => Ended::ClientGone,
                other => Ended::Socket(other),
            })
    }
}

/// Prepares the view that a packet asks for.
fn prepare(packet: Packet<PACKET>, slots: &SharedSlots) -> Answer {
    let (Some(Prepare(access)), Some(file)) = (Prepare::decode(packet.bytes), packet.descriptor)
    else {
        return Answer::Refused(NO_REQUEST);
    };
    match check_descriptor(file.as_fd(), access) {
        Ok(_) => {
            let slot = slots.lock().prepare(Prepared { file, access });
            Answer::Prepared(ViewName(slot.0))
        }
        Err(error) => Answer::Refused(refusal(&error)),
    }
}

/// Guards the file of an open view.
fn guard_file(guard: &Arc<Guard>, slot: Slot, slots: &SharedSlots) -> Answer {
    let mut slots = slots.lock();
    let backing = slots.open(slot);
    let Some((backing, file)) = backing.and_then(|backing| {
        let file = backing.file.take()?;
        Some((backing, file))
    }) else {
        return Answer::Refused(NO_REQUEST);
    };
    match guard.add(file) {
        Ok(guarded) => {
            backing.guarded = Some(guarded);
            Answer::Guarded
        }
        Err(errno) => Answer::NotGuarded(errno.raw_os_error()),
    }
}

fn refusal(error: &ViewError) -> Refusal {
    match error {
        ViewError::NotRegular => Refusal::NotRegular,
        ViewError::NotAllowed(_) => Refusal::NotAllowed,
        ViewError::NotStored => Refusal::NotStored,
        ViewError::System { source, .. } => {
            Refusal::Failed(source.raw_os_error().unwrap_or(libc::EIO))
        }
        _ => Refusal::Failed(libc::EIO),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use rustix::fs::{Mode, OFlags};

    use super::super::wire::Prepare;
    use super::*;
    use crate::units::Access;

    fn ask(access: Access, file: Option<OwnedFd>) -> Answer {
        let packet = Packet {
            bytes: Prepare(access).encode(),
            descriptor: file,
            sender: None,
        };
        prepare(packet, &SharedSlots::new())
    }

    #[test]
    fn a_client_gets_no_more_than_its_descriptor_has() {
        // The client checks as well. This check is for a client that does not.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let open = |flags| rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        let refused = Answer::Refused(Refusal::NotAllowed);
        for (flags, access) in [
            (OFlags::RDONLY, Access::ReadWrite),
            (OFlags::WRONLY, Access::ReadWrite),
            (OFlags::WRONLY, Access::ReadOnly),
            (OFlags::PATH, Access::ReadOnly),
        ] {
            assert_eq!(
                ask(access, Some(open(flags))),
                refused,
                "{flags:?} as {access:?}"
            );
        }
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let answer = ask(access, Some(open(OFlags::RDWR)));
            assert!(matches!(answer, Answer::Prepared(_)), "{answer:?}");
        }
    }

    #[test]
    fn files_that_the_kernel_makes_up_are_refused() {
        for path in [
            "/proc/self/mem",
            "/proc/self/comm",
            "/sys/kernel/uevent_seqnum",
        ] {
            let file = File::open(path).unwrap().into();
            let answer = ask(Access::ReadOnly, Some(file));
            assert_eq!(answer, Answer::Refused(Refusal::NotStored), "{path}");
        }
    }

    #[test]
    fn what_is_no_file_and_what_is_no_request_is_refused() {
        let folder = File::open("/").unwrap().into();
        let answer = ask(Access::ReadOnly, Some(folder));
        assert_eq!(answer, Answer::Refused(Refusal::NotRegular));
        assert_eq!(ask(Access::ReadOnly, None), Answer::Refused(NO_REQUEST));
        let packet = Packet {
            bytes: [0xff; PACKET],
            descriptor: Some(tempfile::tempfile().unwrap().into()),
            sender: None,
        };
        assert_eq!(
            prepare(packet, &SharedSlots::new()),
            Answer::Refused(NO_REQUEST)
        );
    }

    #[test]
    fn a_server_outlives_packets_that_are_none() {
        let (ours, theirs) = super::super::socket::pair().unwrap();
        let server = std::thread::spawn(move || {
            ViewServer::new(theirs, LostPages::new().unwrap())
                .answer_each(|packet| prepare(packet, &SharedSlots::new()))
        });
        let answer = || Answer::decode(ours.receive().unwrap().bytes);
        ours.send(b"short", None).unwrap();
        assert_eq!(answer(), Some(Answer::Refused(NO_REQUEST)));
        ours.send(&[1; PACKET + 1], None).unwrap();
        assert_eq!(answer(), Some(Answer::Refused(NO_REQUEST)));
        let file = tempfile::tempfile().unwrap();
        ours.send(&Prepare(Access::ReadWrite).encode(), Some(file.as_fd()))
            .unwrap();
        assert!(matches!(answer(), Some(Answer::Prepared(_))));
        drop(ours);
        assert!(matches!(server.join().unwrap(), Ended::ClientGone));
    }
}
