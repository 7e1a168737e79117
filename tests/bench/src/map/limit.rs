// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The physical limit: one round trip over a stream socket, with a descriptor that the peer maps,
//! or a range that the peer unmaps. No daemon can make a VMM do that for less.
//!
//! The peer is a process of its own, like a VMM. It has only a reserved range and a socket, and
//! ends with the socket.

mod peer;

use std::{
    fs::File,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::{fd::AsFd, unix::net::UnixStream},
    time::Duration,
};

use rustix::{
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::{Pid, WaitOptions, waitpid},
};
use virtiofs_driver::daemon::Process;

use crate::system::ProcessTree;

/// Why the limit can't be measured.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The peer can't be started.
    #[error("can't start the peer that maps")]
    Start(#[source] io::Error),
    /// The peer has ended, or has refused.
    #[error("the peer that maps did not answer as it should")]
    Talk(#[source] io::Error),
}

/// An order for the peer, as the bytes on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    /// True to map, false to unmap.
    map: bool,
    /// The index of the range, in the reservation and in the file.
    range: u32,
}

/// A peer that maps and unmaps ranges of a file.
#[derive(Debug)]
pub struct Limit {
    socket: UnixStream,
    file: File,
    peer: ProcessTree,
    pid: Pid,
    ranges: u32,
    /// The ranges to measure next: the first one, and their number.
    chosen: (u32, u32),
}

impl Limit {
    /// Starts the peer with room for `ranges` of `range_size` bytes of the file.
    pub fn start(file: File, ranges: u32, range_size: u64) -> Result<Self, LimitError> {
        let (socket, theirs) = UnixStream::pair().map_err(LimitError::Start)?;
        let pid = peer::start(theirs, &socket, ranges, range_size).map_err(LimitError::Start)?;
        let process = Process {
            pid: pid.as_raw_nonzero().get(),
            parent: std::process::id().cast_signed(),
            name: "limit".into(),
        };
        Ok(Self {
            socket,
            file,
            peer: ProcessTree::single(process),
            pid,
            ranges,
            chosen: (0, 1),
        })
    }

    /// The peer's process.
    pub fn process(&self) -> &ProcessTree {
        &self.peer
    }

    /// The peer's processor time so far.
    pub fn cpu(&self) -> Duration {
        self.peer.cpu()
    }

    /// Chooses the next `count` ranges.
    pub fn ready(&mut self, count: u32) {
        let (first, before) = self.chosen;
        let first = first + before;
        let first = if first + count > self.ranges {
            0
        } else {
            first
        };
        self.chosen = (first, count);
    }

    /// Orders all chosen ranges to be mapped at once.
    pub fn set_up(&mut self) -> Result<(), LimitError> {
        self.each(|limit, range| limit.ask_to_map(range))
    }

    /// Orders all chosen ranges to be unmapped at once.
    pub fn remove(&mut self) -> Result<(), LimitError> {
        self.each(|limit, range| {
            let order = Order { map: false, range };
            limit.ask(order, &mut SendAncillaryBuffer::default())
        })
    }

    fn each(
        &mut self,
        ask: impl Fn(&Self, u32) -> Result<(), LimitError>,
    ) -> Result<(), LimitError> {
        let (first, count) = self.chosen;
        (first..first + count).try_for_each(|range| ask(self, range))?;
        (0..count).try_for_each(|_| self.answer())
    }

    fn ask_to_map(&self, range: u32) -> Result<(), LimitError> {
        let order = Order { map: true, range };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let fds = [self.file.as_fd()];
        rights.push(SendAncillaryMessage::ScmRights(&fds));
        self.ask(order, &mut rights)
    }

    fn ask(
        &self,
        order: Order,
        rights: &mut SendAncillaryBuffer<'_, '_, '_>,
    ) -> Result<(), LimitError> {
        let bytes = order.bytes();
        let sent = sendmsg(
            &self.socket,
            &[IoSlice::new(&bytes)],
            rights,
            SendFlags::NOSIGNAL,
        );
        sent.map(drop)
            .map_err(|errno| LimitError::Talk(errno.into()))
    }

    fn answer(&self) -> Result<(), LimitError> {
        let mut answer = [0];
        let got = rustix::io::read(&self.socket, &mut answer);
        match (
            got.map_err(|errno| LimitError::Talk(errno.into()))?,
            answer[0],
        ) {
            (1, 0) => Ok(()),
            (0, _) => Err(LimitError::Talk(io::ErrorKind::UnexpectedEof.into())),
            (_, errno) => Err(LimitError::Talk(io::Error::from_raw_os_error(errno.into()))),
        }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

impl Order {
    /// The length of an order in bytes.
    const LEN: usize = 5;

    fn bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [u8::from(self.map); Self::LEN];
        bytes[1..].copy_from_slice(&self.range.to_le_bytes());
        bytes
    }

    fn of([map, a, b, c, d]: [u8; Self::LEN]) -> Self {
        Self {
            map: map != 0,
            range: u32::from_le_bytes([a, b, c, d]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::RANGE;

    #[test]
    fn ranges_come_and_go_and_a_mistake_is_told() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * RANGE).unwrap();
        let mut limit = Limit::start(file, 4, RANGE).unwrap();
        for count in [1, 1, 2, 4] {
            limit.ready(count);
            limit.set_up().unwrap();
            limit.remove().unwrap();
        }
        limit.chosen = (3, 2);
        assert!(matches!(limit.set_up(), Err(LimitError::Talk(_))));
        let mut limit = Limit::start(File::open("/proc/self/exe").unwrap(), 1, RANGE).unwrap();
        limit.ready(1);
        // A file that can't be mapped shared and writable is refused, which shows that the peer
        // really maps.
        let LimitError::Talk(source) = limit.set_up().unwrap_err() else {
            panic!("the peer was there");
        };
        assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn orders_are_read_as_they_were_written() {
        for order in [
            Order {
                map: true,
                range: 0x0102_0304,
            },
            Order {
                map: false,
                range: 7,
            },
        ] {
            assert_eq!(Order::of(order.bytes()), order);
        }
    }
}
