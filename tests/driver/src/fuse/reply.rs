// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Replies.

use fuse_backend_rs::abi::fuse_abi::{
    AttrOut, EntryOut, GetxattrOut, InitOut, Kstatfs, LkOut, LseekOut, Opcode, OpenOut, OutHeader,
    StatfsOut, WriteOut,
};
use vm_memory::VolatileSlice;
use vm_memory_017::ByteValued;

use super::{Errno, FuseError};
use crate::units::{FileOffset, Unique};

/// A reply without its bulk data, which the device has written to the request's span.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// No payload.
    Empty,
    /// LOOKUP, MKNOD, MKDIR, SYMLINK, LINK.
    Entry(EntryOut),
    /// GETATTR, SETATTR.
    Attr(AttrOut),
    /// OPEN, OPENDIR.
    Opened(OpenOut),
    /// CREATE.
    Created(EntryOut, OpenOut),
    /// WRITE, COPY_FILE_RANGE: the number of bytes.
    Written(u32),
    /// Requests with a span of guest memory: the number of bytes written to it.
    Data(u32),
    /// INIT.
    Init(InitOut),
    /// STATFS.
    Statfs(Kstatfs),
    /// LSEEK.
    Offset(FileOffset),
    /// GETXATTR and LISTXATTR without room.
    Size(u32),
    /// GETLK.
    Lock(LkOut),
}

/// The shape of the reply that a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Empty,
    /// FORGET and INTERRUPT get no reply.
    None,
    /// virtiofsd returns DESTROY without a reply, which Linux accepts.
    Optional,
    Entry,
    Attr,
    Opened,
    Created,
    Written,
    Data,
    Init,
    Statfs,
    Offset,
    Size,
    Lock,
}

impl Shape {
    /// Bytes of the reply without header and bulk data.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Empty | Self::None | Self::Optional | Self::Data => 0,
            Self::Entry => size_of::<EntryOut>(),
            Self::Attr => size_of::<AttrOut>(),
            Self::Opened => size_of::<OpenOut>(),
            Self::Created => size_of::<EntryOut>() + size_of::<OpenOut>(),
            Self::Written => size_of::<WriteOut>(),
            Self::Init => size_of::<InitOut>(),
            Self::Statfs => size_of::<StatfsOut>(),
            Self::Offset => size_of::<LseekOut>(),
            Self::Size => size_of::<GetxattrOut>(),
            Self::Lock => size_of::<LkOut>(),
        }
    }
}

/// A reply's bytes in a slot.
pub(super) struct RawReply<'a> {
    pub(super) opcode: Opcode,
    pub(super) shape: Shape,
    /// Room for bulk data in the request.
    pub(super) room: u32,
    pub(super) unique: Unique,
    /// The number of bytes that the device claims to have written.
    pub(super) used: u32,
    pub(super) slot: VolatileSlice<'a>,
}

impl RawReply<'_> {
    /// Checks and decodes the reply.
    pub(super) fn parse(&self) -> Result<Reply, FuseError> {
        if self.shape == Shape::None {
            return match self.used {
                0 => Ok(Reply::Empty),
                some => Err(self.wrong(format!("{some} bytes where there is no reply"))),
            };
        }
        if self.shape == Shape::Optional && self.used == 0 {
            return Ok(Reply::Empty);
        }
        let header_len = size_of::<OutHeader>() as u32;
        if self.used < header_len {
            return Err(self.wrong(format!("{} bytes are less than a header", self.used)));
        }
        let header: OutHeader = self.get(0);
        if header.unique != self.unique.0 {
            let other = Unique(header.unique);
            return Err(self.wrong(format!("it is for {other}, not for {}", self.unique)));
        }
        if header.len != self.used {
            let (len, used) = (header.len, self.used);
            return Err(self.wrong(format!("its header says {len} bytes, the queue {used}")));
        }
        match header.error {
            0 => self.parse_success(header.len - header_len),
            errno @ -4095..0 => Err(FuseError::Failed {
                opcode: self.opcode,
                errno: Errno(-errno),
            }),
            other => Err(self.wrong(format!("{other} is no error"))),
        }
    }

    fn parse_success(&self, len: u32) -> Result<Reply, FuseError> {
        if self.shape == Shape::Data {
            return if len <= self.room {
                Ok(Reply::Data(len))
            } else {
                let room = self.room;
                Err(self.wrong(format!("{len} bytes where there is room for {room}")))
            };
        }
        let wanted = self.shape.len();
        if len as usize != wanted {
            return Err(self.wrong(format!("{len} bytes, not {wanted}")));
        }
        let at = size_of::<OutHeader>();
        Ok(match self.shape {
            Shape::Empty | Shape::None | Shape::Optional | Shape::Data => Reply::Empty,
            Shape::Entry => Reply::Entry(self.get(at)),
            Shape::Attr => Reply::Attr(self.get(at)),
            Shape::Opened => Reply::Opened(self.get(at)),
            Shape::Created => Reply::Created(self.get(at), self.get(at + size_of::<EntryOut>())),
            Shape::Written => Reply::Written(self.get::<WriteOut>(at).size),
            Shape::Init => Reply::Init(self.get(at)),
            Shape::Statfs => Reply::Statfs(self.get::<StatfsOut>(at).st),
            Shape::Offset => Reply::Offset(FileOffset(self.get::<LseekOut>(at).offset)),
            Shape::Size => Reply::Size(self.get::<GetxattrOut>(at).size),
            Shape::Lock => Reply::Lock(self.get(at)),
        })
    }

    fn get<T: ByteValued + Default>(&self, at: usize) -> T {
        let mut value = T::default();
        let place = self.slot.subslice(at, size_of::<T>());
        let place = place.expect("a slot has room for every reply");
        place.copy_to(value.as_mut_slice());
        value
    }

    fn wrong(&self, what: String) -> FuseError {
        let opcode = self.opcode;
        FuseError::BadReply { opcode, what }
    }
}

#[cfg(test)]
mod tests {
    use super::{RawReply, Shape};
    use crate::fuse::{FuseError, Opcode, Reply};
    use crate::units::Unique;
    use vm_memory::VolatileSlice;

    /// A reply to request 8 of this shape, with 4 bytes of room.
    fn parse(
        shape: Shape,
        used: u32,
        (len, error, unique): (u32, i32, u64),
    ) -> Result<Reply, FuseError> {
        let mut bytes = [0; 512];
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[4..8].copy_from_slice(&error.to_ne_bytes());
        bytes[8..16].copy_from_slice(&unique.to_ne_bytes());
        let reply = RawReply {
            opcode: Opcode::Read,
            shape,
            room: 4,
            unique: Unique(8),
            used,
            slot: VolatileSlice::from(&mut bytes[..]),
        };
        reply.parse()
    }

    #[test]
    fn what_fuse_does_not_allow_is_no_reply() {
        let wrong = [
            (Shape::Data, 15, (16, 0, 8), "less than a header"),
            (Shape::Data, 16, (16, 0, 10), "for request 10"),
            (
                Shape::Data,
                16,
                (17, 0, 8),
                "its header says 17 bytes, the queue 16",
            ),
            (Shape::Data, 21, (21, 0, 8), "room for 4"),
            (Shape::Data, 16, (16, 1, 8), "1 is no error"),
            (Shape::Data, 16, (16, -4096, 8), "-4096 is no error"),
            (Shape::Attr, 16, (16, 0, 8), "0 bytes, not 104"),
            (Shape::Empty, 24, (24, 0, 8), "8 bytes, not 0"),
            (Shape::None, 16, (16, 0, 8), "where there is no reply"),
            (Shape::Optional, 15, (15, 0, 8), "less than a header"),
        ];
        for (shape, used, header, what) in wrong {
            let error = parse(shape, used, header).expect_err(what);
            assert!(error.to_string().contains(what), "{error}, not {what}");
            assert_eq!(error.errno(), None);
        }
    }

    #[test]
    fn errors_are_the_daemon_s_answers() {
        let error = parse(Shape::Attr, 16, (16, -libc::EIO, 8)).expect_err("an error");
        assert_eq!(error.errno(), Some(libc::EIO));
        assert!(matches!(
            parse(Shape::Data, 20, (20, 0, 8)),
            Ok(Reply::Data(4))
        ));
        assert!(matches!(
            parse(Shape::Optional, 0, (0, 0, 0)),
            Ok(Reply::Empty)
        ));
        assert!(matches!(parse(Shape::None, 0, (0, 0, 0)), Ok(Reply::Empty)));
    }
}
