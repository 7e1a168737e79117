// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The physical limit: one round trip over a stream socket, with a descriptor that the peer maps or
//! a range that it unmaps. No daemon can have a VMM do that for less.
//!
//! The peer is a process of its own, as a VMM is. It has nothing but a reserved range and a socket,
//! and ends when the socket does.

mod peer;

use std::{
    fs::File,
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::{fd::AsFd, unix::net::UnixStream},
};

use rustix::{
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
    process::{Pid, WaitOptions, waitpid},
};

/// Why the limit can't be measured.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The peer can't be started.
    #[error("can't start the peer that maps")]
    Start(#[source] io::Error),
    /// The peer is gone, or refused.
    #[error("the peer that maps did not answer as it should")]
    Talk(#[source] io::Error),
}

/// What is asked of the peer; the bytes on the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Order {
    /// Whether to map; otherwise to unmap.
    map: bool,
    /// Which range of the reserved ones, and of the file.
    range: u32,
}

/// A peer that maps and unmaps ranges.
#[derive(Debug)]
pub struct Limit {
    socket: UnixStream,
    peer: Pid,
}

impl Limit {
    /// Starts the peer with room for `ranges` of `range_size` bytes.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub fn start(ranges: u32, range_size: u64) -> Result<Self, LimitError> {
        let (socket, theirs) = UnixStream::pair().map_err(LimitError::Start)?;
        let peer = peer::start(theirs, &socket, ranges, range_size).map_err(LimitError::Start)?;
        Ok(Self { socket, peer })
    }

    /// Has a range of the file mapped.
    ///
    /// # Errors
    ///
    /// If the peer does not say that it has done so.
    pub fn map(&mut self, file: &File, range: u32) -> Result<(), LimitError> {
        let order = Order { map: true, range };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        let fds = [file.as_fd()];
        rights.push(SendAncillaryMessage::ScmRights(&fds));
        self.ask(order, &mut rights)
    }

    /// Has a range unmapped.
    ///
    /// # Errors
    ///
    /// If the peer does not say that it has done so.
    pub fn unmap(&mut self, range: u32) -> Result<(), LimitError> {
        let order = Order { map: false, range };
        self.ask(order, &mut SendAncillaryBuffer::default())
    }

    fn ask(
        &mut self,
        order: Order,
        rights: &mut SendAncillaryBuffer<'_, '_, '_>,
    ) -> Result<(), LimitError> {
        let bytes = order.bytes();
        let talk = |errno: rustix::io::Errno| LimitError::Talk(errno.into());
        sendmsg(
            &self.socket,
            &[IoSlice::new(&bytes)],
            rights,
            SendFlags::NOSIGNAL,
        )
        .map_err(talk)?;
        let mut answer = [0];
        let got = rustix::io::read(&self.socket, &mut answer).map_err(talk)?;
        match (got, answer[0]) {
            (1, 0) => Ok(()),
            (0, _) => Err(LimitError::Talk(io::ErrorKind::UnexpectedEof.into())),
            (_, errno) => Err(LimitError::Talk(io::Error::from_raw_os_error(errno.into()))),
        }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = waitpid(Some(self.peer), WaitOptions::empty());
    }
}

impl Order {
    /// Bytes of an order.
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
        let mut limit = Limit::start(4, RANGE).unwrap();
        for range in 0..4 {
            limit.map(&file, range).unwrap();
        }
        limit.unmap(2).unwrap();
        limit.map(&file, 2).unwrap();
        assert!(matches!(limit.map(&file, 4), Err(LimitError::Talk(_))));
        assert!(matches!(limit.unmap(4), Err(LimitError::Talk(_))));
        // What can't be mapped shared and writable is a refusal: mmap is really tried.
        let read_only = File::open("/proc/self/exe").unwrap();
        let refused = limit.map(&read_only, 0).unwrap_err();
        let LimitError::Talk(source) = refused else {
            panic!("{refused}");
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
