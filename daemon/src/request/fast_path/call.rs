// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A function for each kind of request.

use std::ffi::CStr;

use smallvec::SmallVec;
use virtiofsd::filesystem::{Context, FileSystem};
use virtiofsd::fuse::{
    AttrOut, EntryOut, GETATTR_FH, GetattrIn, InHeader, OPEN_KILL_SUIDGID, Opcode, OpenIn, OpenOut,
    OutHeader, READ_LOCKOWNER, RELEASE_FLOCK_UNLOCK, RELEASE_FLUSH, ReadIn, ReleaseIn, WRITE_CACHE,
    WRITE_KILL_PRIV, WRITE_LOCKOWNER, WriteIn, WriteOut,
};
use vm_memory_017::ByteValued;

use super::reply::{Body, Reply};
use crate::adapter::{ChainBuffers, PayloadError, ReadWays};

/// The longest message that virtiofsd's server accepts: 1 MiB of data, and a page.
const LONGEST: u32 = (1 << 20) + 0x1000;
/// Longest name that a directory entry has (`FUSE_NAME_MAX`), and its NUL.
const LONGEST_NAME: usize = 1024 + 1;
/// Names of up to this size need no allocation.
const INLINE_NAME: usize = 256;

/// Whether such a request usually takes no longer than a notification.
pub(crate) fn is_quick(opcode: Option<Opcode>) -> bool {
    use Opcode::{Getattr, Lookup, Open, Read, Release, Write};
    matches!(
        opcode,
        Some(Lookup | Getattr | Open | Release | Read | Write)
    )
}

/// Whether such a request may wait for a disk or a server for as long as these like. It needs neither
/// umask nor working folder.
pub(crate) fn may_sleep(opcode: Option<Opcode>) -> bool {
    use Opcode::{CopyFileRange, Fallocate, Fsync, Fsyncdir, Syncfs};
    matches!(
        opcode,
        Some(Fsync | Fsyncdir | Syncfs | Fallocate | CopyFileRange)
    )
}

/// The result of the fast path.
pub(crate) enum FastPath {
    /// The reply's length.
    Replied(Result<u32, PayloadError>),
    /// A READ would have to wait for data, and nothing was done.
    WouldWait,
    /// The request is the server's.
    NotHere,
}

/// Answers the request, if the fast path has it. With `ways` a READ that would wait is not answered.
pub(crate) fn serve<F: FileSystem>(
    fs: &F,
    header: &InHeader,
    request: &ChainBuffers,
    ways: Option<&ReadWays>,
) -> FastPath {
    let opcode = match Opcode::try_from(header.opcode) {
        Ok(opcode) if header.len <= LONGEST => opcode,
        _ => return FastPath::NotHere,
    };
    let is_read = matches!(opcode, Opcode::Read);
    let call = Call {
        fs,
        header,
        request,
        ways,
    };
    let reply = match opcode {
        Opcode::Lookup => call.lookup(),
        Opcode::Getattr => call.getattr(),
        Opcode::Open => call.open(),
        Opcode::Release => call.release(),
        Opcode::Read => call.read(),
        Opcode::Write => call.write(),
        _ => None,
    };
    match reply {
        // Other requests fail with this error for reasons of their own, such as an OPEN for a lease.
        Some(reply) if is_read && ways.is_some() && reply.is_of(libc::EAGAIN) => {
            FastPath::WouldWait
        }
        Some(reply) => FastPath::Replied(reply.write(header.unique, request)),
        None => FastPath::NotHere,
    }
}

struct Call<'a, F> {
    fs: &'a F,
    header: &'a InHeader,
    request: &'a ChainBuffers,
    ways: Option<&'a ReadWays>,
}

impl<F: FileSystem> Call<'_, F> {
    /// The message's fixed part, if it is there and a reply with a body of `room` bytes fits.
    fn message<T: ByteValued + Default>(&self, room: usize) -> Option<T> {
        self.has_room(room)?;
        self.request.read_object(size_of::<InHeader>()).ok()
    }

    fn has_room(&self, body: usize) -> Option<()> {
        (self.request.writable_len() >= size_of::<OutHeader>() + body).then_some(())
    }

    fn context(&self) -> Context {
        Context::from(*self.header)
    }

    fn node(&self) -> F::Inode {
        self.header.nodeid.into()
    }

    fn lookup(&self) -> Option<Reply> {
        self.has_room(size_of::<EntryOut>())?;
        let len = (self.header.len as usize).checked_sub(size_of::<InHeader>())?;
        if len > LONGEST_NAME {
            return None;
        }
        let mut name: SmallVec<[u8; INLINE_NAME]> = SmallVec::from_elem(0, len);
        let read = self.request.read_at(size_of::<InHeader>(), &mut name);
        read.ok()?;
        let name = CStr::from_bytes_with_nul(&name).ok()?;
        let entry = self.fs.lookup(self.context(), self.node(), name);
        Some(Reply::of(
            entry.map(|entry| Body::of(EntryOut::from(entry))),
        ))
    }

    fn getattr(&self) -> Option<Reply> {
        let GetattrIn { flags, fh, .. } = self.message(size_of::<AttrOut>())?;
        let handle = (flags & GETATTR_FH != 0).then(|| fh.into());
        let attr = self.fs.getattr(self.context(), self.node(), handle);
        Some(Reply::of(attr.map(|(attr, timeout)| {
            Body::of(AttrOut {
                attr_valid: timeout.as_secs(),
                attr_valid_nsec: timeout.subsec_nanos(),
                dummy: 0,
                attr,
            })
        })))
    }

    fn open(&self) -> Option<Reply> {
        let OpenIn { flags, open_flags } = self.message(size_of::<OpenOut>())?;
        let kill_priv = open_flags & OPEN_KILL_SUIDGID != 0;
        let opened = self.fs.open(self.context(), self.node(), kill_priv, flags);
        Some(Reply::of(opened.map(|(handle, options)| {
            Body::of(OpenOut {
                fh: handle.map_or(0, Into::into),
                open_flags: options.bits(),
                ..OpenOut::default()
            })
        })))
    }

    fn release(&self) -> Option<Reply> {
        let message: ReleaseIn = self.message(0)?;
        let flush = message.release_flags & RELEASE_FLUSH != 0;
        let unlock = message.release_flags & RELEASE_FLOCK_UNLOCK != 0;
        let released = self.fs.release(
            self.context(),
            self.node(),
            message.flags,
            message.fh.into(),
            flush,
            unlock,
            (flush || unlock).then_some(message.lock_owner),
        );
        Some(Reply::of(released.map(|()| Body::none())))
    }

    fn read(&self) -> Option<Reply> {
        let message: ReadIn = self.message(0)?;
        let mut data = self.request.data_out(size_of::<OutHeader>());
        if let Some(ways) = self.ways {
            data = data.without_waiting(ways.of(message.fh));
        }
        let read = self.fs.read(
            self.context(),
            self.node(),
            message.fh.into(),
            data,
            message.size,
            message.offset,
            (message.read_flags & READ_LOCKOWNER != 0).then_some(message.lock_owner),
            message.flags,
        );
        Some(Reply::of(read.map(Body::in_place)))
    }

    fn write(&self) -> Option<Reply> {
        let message: WriteIn = self.message(size_of::<WriteOut>())?;
        let data = size_of::<InHeader>() + size_of::<WriteIn>();
        let written = self.fs.write(
            self.context(),
            self.node(),
            message.fh.into(),
            self.request.data_in(data),
            message.size,
            message.offset,
            (message.write_flags & WRITE_LOCKOWNER != 0).then_some(message.lock_owner),
            message.write_flags & WRITE_CACHE != 0,
            message.write_flags & WRITE_KILL_PRIV != 0,
            message.flags,
        );
        Some(Reply::of(written.map(|size| {
            Body::of(WriteOut {
                // At most the message's size, which is a u32.
                size: size as u32,
                ..WriteOut::default()
            })
        })))
    }
}
