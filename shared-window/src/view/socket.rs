// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Packets with at most one descriptor each, over a pair of sockets.
//!
//! Once the pair exists, only `sendmsg` and `recvmsg` are used: the system call filter of a
//! virtio-fs daemon allows these, and not `socket`, `poll` and `sendto`.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::Pid;

/// Room for the one descriptor of a packet.
const ONE_DESCRIPTOR: usize = rustix::cmsg_space!(ScmRights(1));
/// The same, and room for the sender's credentials.
const AND_SENDER: usize = rustix::cmsg_space!(ScmRights(1), ScmCredentials(1));

/// One end of a pair.
#[derive(Debug)]
pub(super) struct Packets(OwnedFd);

/// A packet that has arrived.
#[derive(Debug)]
pub(super) struct Packet<const N: usize> {
    pub(super) bytes: [u8; N],
    pub(super) descriptor: Option<OwnedFd>,
    /// The process that sent it, if this end asks the kernel for senders.
    pub(super) sender: Option<Pid>,
}

/// Why no packet was received.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// No process holds the other end any more.
    Closed,
    /// A packet of another length, or with more than one descriptor.
    Malformed,
    /// The system call failed.
    System(Errno),
}

pub(super) fn pair() -> Result<(Packets, Packets), Errno> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map(|(a, b)| (Packets(a), Packets(b)))
}

impl Packets {
    /// Lets the kernel add the sender to each packet.
    pub(super) fn ask_for_senders(&self) -> Result<(), Errno> {
        rustix::net::sockopt::set_socket_passcred(&self.0, true)
    }

    pub(super) fn send(
        &self,
        bytes: &[u8],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); ONE_DESCRIPTOR];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = descriptor.as_slice();
        if !descriptors.is_empty() {
            let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
            debug_assert!(fits, "the space is made for one descriptor");
        }
        let parts = [IoSlice::new(bytes)];
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL)
        })
        .map(drop)
    }

    /// Waits for a packet of exactly `N` bytes.
    pub(super) fn receive<const N: usize>(&self) -> Result<Packet<N>, Missing> {
        let mut bytes = [0; N];
        let mut space = [MaybeUninit::uninit(); AND_SENDER];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC | RecvFlags::TRUNC,
            )
        })
        .map_err(|errno| match errno {
            Errno::CONNRESET => Missing::Closed,
            other => Missing::System(other),
        })?;
        let (mut descriptor, mut sender) = (None, None);
        for message in control.drain() {
            match message {
                RecvAncillaryMessage::ScmRights(descriptors) => descriptor = descriptors.last(),
                RecvAncillaryMessage::ScmCredentials(credentials) => {
                    sender = Some(credentials.pid);
                }
                _ => {}
            }
        }
        match received.bytes {
            // An empty packet is never sent.
            0 => Err(Missing::Closed),
            n if n != N || received.flags.contains(ReturnFlags::CTRUNC) => Err(Missing::Malformed),
            _ => Ok(Packet {
                bytes,
                descriptor,
                sender,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_packet_carries_bytes_and_a_descriptor() {
        let (a, b) = pair().unwrap();
        let file = File::open("/proc/self/stat").unwrap();
        a.send(b"with", Some(file.as_fd())).unwrap();
        a.send(b"none", None).unwrap();

        let with = b.receive::<4>().unwrap();
        assert_eq!(&with.bytes, b"with");
        let mut text = String::new();
        File::from(with.descriptor.unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.starts_with(&std::process::id().to_string()));
        let none = b.receive::<4>().unwrap();
        assert_eq!((&none.bytes, none.descriptor.is_none()), (b"none", true));
    }

    #[test]
    fn what_is_no_packet_is_told_apart() {
        let (a, b) = pair().unwrap();
        a.send(b"too long", None).unwrap();
        a.send(b"s", None).unwrap();
        assert_eq!(b.receive::<4>().unwrap_err(), Missing::Malformed);
        assert_eq!(b.receive::<4>().unwrap_err(), Missing::Malformed);
        drop(a);
        assert_eq!(b.receive::<4>().unwrap_err(), Missing::Closed);
        assert_eq!(b.send(b"x", None).unwrap_err(), Errno::PIPE);
    }
}
