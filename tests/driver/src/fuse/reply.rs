// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is answered.

use fuse_backend_rs::abi::fuse_abi::{
    AttrOut, EntryOut, GetxattrOut, InitOut, Kstatfs, LkOut, LseekOut, Opcode, OpenOut, OutHeader,
    StatfsOut, WriteOut,
};
use vm_memory::VolatileSlice;
use vm_memory_017::ByteValued;

use super::{Body, Errno, FuseError};
use crate::units::{FileOffset, Unique};

/// A reply without its bulk data, which is where the request said.
#[derive(Debug, Clone, Copy)]
pub enum Reply {
    /// There is nothing to say.
    Empty,
    /// LOOKUP, MKNOD, MKDIR, SYMLINK, LINK.
    Entry(EntryOut),
    /// GETATTR, SETATTR.
    Attr(AttrOut),
    /// OPEN, OPENDIR.
    Opened(OpenOut),
    /// CREATE.
    Created(EntryOut, OpenOut),
    /// WRITE, COPY_FILE_RANGE: so many bytes.
    Written(u32),
    /// What has a span of guest memory: so many bytes of it.
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

/// Which of them a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shape {
    #[default]
    Empty,
    /// FORGET and INTERRUPT get none at all.
    None,
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
    pub(super) fn of(body: &Body<'_>) -> Self {
        match body {
            Body::Forget { .. } | Body::BatchForget { .. } | Body::Interrupt { .. } => Self::None,
            Body::Lookup { .. }
            | Body::Mknod { .. }
            | Body::Mkdir { .. }
            | Body::Symlink { .. }
            | Body::Link { .. } => Self::Entry,
            Body::Getattr(_) | Body::Setattr(_) => Self::Attr,
            Body::Open(_) | Body::Opendir(_) => Self::Opened,
            Body::Create { .. } => Self::Created,
            Body::Write { .. } | Body::CopyFileRange(_) => Self::Written,
            Body::Getxattr { into, .. } | Body::Listxattr { into } if into.len == 0 => Self::Size,
            Body::Read { .. }
            | Body::Readdir { .. }
            | Body::Readdirplus { .. }
            | Body::Readlink { .. }
            | Body::Getxattr { .. }
            | Body::Listxattr { .. }
            | Body::Raw { .. } => Self::Data,
            Body::Init(..) => Self::Init,
            Body::Statfs => Self::Statfs,
            Body::Lseek(_) => Self::Offset,
            Body::Getlk(_) => Self::Lock,
            _ => Self::Empty,
        }
    }

    /// Bytes of the reply without header and bulk data.
    pub(super) fn len(self) -> usize {
        match self {
            Self::Empty | Self::None | Self::Data => 0,
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

/// A reply as it lies in a slot.
pub(super) struct RawReply<'a> {
    pub(super) opcode: Opcode,
    pub(super) shape: Shape,
    /// Room for bulk data that the request gave.
    pub(super) room: u32,
    pub(super) unique: Unique,
    /// How many bytes the device says to have written.
    pub(super) used: u32,
    pub(super) slot: VolatileSlice<'a>,
}

impl RawReply<'_> {
    /// Checks it and takes it apart.
    pub(super) fn parse(&self) -> Result<Reply, FuseError> {
        if self.shape == Shape::None {
            return match self.used {
                0 => Ok(Reply::Empty),
                some => Err(self.wrong(format!("{some} bytes where there is no reply"))),
            };
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
            Shape::Empty | Shape::None | Shape::Data => Reply::Empty,
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
