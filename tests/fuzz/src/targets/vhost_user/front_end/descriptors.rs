// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The descriptors that a front end sends with a message, and the ends that it keeps.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;

use rustix::event::EventfdFlags;
use rustix::fs::MemfdFlags;

/// Bytes of guest memory.
pub(super) const MEMORY: u64 = 1 << 18;
pub(super) const TABLE: u64 = 0x1000;
pub(super) const AVAIL: u64 = 0x2000;
pub(super) const USED: u64 = 0x3000;
const REQUEST: u64 = 0x1_0000;
const REPLY: u64 = 0x2_0000;
const ROOM: u32 = 4096;
pub(super) const QUEUE_SIZE: u16 = 16;

/// The descriptors of a message by number.
pub(super) const MEMORY_FD: u8 = 1;
pub(super) const KICK: u8 = 2;
pub(super) const CALL: u8 = 3;
pub(super) const CHANNEL: u8 = 4;

/// The front end's descriptors.
pub(super) struct Belongings {
    memory: File,
    kick: OwnedFd,
    call: OwnedFd,
    /// The end of the back-end channel that the front end keeps.
    pub(super) channel: Option<UnixStream>,
    their_channel: UnixStream,
    from_them: PipeReader,
    to_them: PipeWriter,
    their_pipes: (PipeReader, PipeWriter),
    avail: u16,
}

impl Belongings {
    pub(super) fn new() -> Self {
        let memory = rustix::fs::memfd_create("guest", MemfdFlags::CLOEXEC).expect("memory");
        let memory = File::from(memory);
        memory.set_len(MEMORY).expect("memory");
        let event = || {
            rustix::event::eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
                .expect("an event")
        };
        let (ours, theirs) = UnixStream::pair().expect("a channel");
        let (from_them, their_writer) = std::io::pipe().expect("a pipe");
        let (their_reader, to_them) = std::io::pipe().expect("a pipe");
        Self {
            memory,
            kick: event(),
            call: event(),
            channel: Some(ours),
            their_channel: theirs,
            from_them,
            to_them,
            their_pipes: (their_reader, their_writer),
            avail: 0,
        }
    }

    /// A copy of a descriptor, to be sent; `None` for most numbers.
    pub(super) fn lend(&self, kind: u8) -> Option<OwnedFd> {
        let lent = match kind {
            MEMORY_FD => self.memory.try_clone().map(OwnedFd::from),
            KICK => self.kick.try_clone(),
            CALL => self.call.try_clone(),
            CHANNEL => self.their_channel.try_clone().map(OwnedFd::from),
            5 => self.their_pipes.0.try_clone().map(OwnedFd::from),
            6 => self.their_pipes.1.try_clone().map(OwnedFd::from),
            // A directory.
            7 => File::open(".").map(OwnedFd::from),
            _ => return None,
        };
        Some(lent.expect("a descriptor"))
    }

    /// Puts a request on the queue and kicks. Returns the used index from before.
    pub(super) fn offer(&mut self, bytes: &[u8]) -> u16 {
        let used = self.used();
        let mut table = Vec::new();
        let room = (REPLY, ROOM, 2_u16);
        for (addr, len, flags) in [(REQUEST, bytes.len() as u32, 1), room] {
            table.extend(addr.to_le_bytes());
            table.extend(len.to_le_bytes());
            table.extend(flags.to_le_bytes());
            table.extend(1_u16.to_le_bytes());
        }
        self.write(REQUEST, bytes);
        self.write(TABLE, &table);
        self.write(AVAIL + 4 + 2 * u64::from(self.avail % QUEUE_SIZE), &[0, 0]);
        self.avail = self.avail.wrapping_add(1);
        self.write(AVAIL + 2, &self.avail.to_le_bytes());
        let _ = rustix::io::write(&self.kick, &1_u64.to_ne_bytes());
        used
    }

    pub(super) fn used(&self) -> u16 {
        let mut index = [0; 2];
        // The read gives nothing if the memory is truncated.
        let _ = self.memory.read_at(&mut index, USED + 2);
        u16::from_le_bytes(index)
    }

    pub(super) fn truncate(&self, pages: u64) {
        self.memory.set_len(pages * 4096).expect("memory");
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write_all_at(bytes, at).expect("memory");
    }
}

impl Drop for Belongings {
    fn drop(&mut self) {
        // Named here, because they exist only to be closed.
        let _ = (&self.from_them, &self.to_them);
    }
}
