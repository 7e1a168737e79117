// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads a request from its descriptor chain.
//!
//! A message is read once, when its request is taken off the ring. The daemon never reads it from
//! guest memory again, so it uses what it has checked.
//!
//! Offsets count from the start of the request or of the reply, as the guest sees them. Everything
//! read here was written by the guest and is checked before use.

use std::sync::Arc;

use fuse_backend_rs::abi::virtio_fs::{
    RemovemappingIn, RemovemappingOne, SetupmappingFlags, SetupmappingIn,
};
use shared_window::{Access, FileOffset, RemoveRange, SetupRange, WindowOffset};
use virtio_queue::DescriptorChain;
use virtiofsd::filesystem::Context;
use virtiofsd::fuse::{InHeader, InitOut, Opcode, OutHeader};

use crate::adapter::{ChainBuffers, ChainError, HeadIndex, Mapped, PayloadError, TransportMemory};
use crate::fs::NodeId;
use crate::ring::quiesce::InFlightGuard;

/// The most ranges in one REMOVEMAPPING. Linux sends at most 256, a page of them.
const MAX_REMOVALS: u32 = 4096;

/// `FUSE_MAP_ALIGNMENT` of the flags in INIT.
const MAP_ALIGNMENT: u32 = 1 << 26;
const INIT_IN_FLAGS: usize = size_of::<InHeader>() + 12;
const INIT_OUT_FLAGS: usize = size_of::<OutHeader>() + 12;
const INIT_OUT_MAP_ALIGNMENT: usize = size_of::<OutHeader>() + 30;

/// A request that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    /// The request ends before the message does.
    #[error("the request is too short for its message")]
    Short(#[source] PayloadError),
    /// The header claims fewer bytes than the message has.
    #[error("the header claims {claimed} bytes of a message of {needed}")]
    BadLength {
        /// `len` of the header.
        claimed: u32,
        /// Size of the message.
        needed: usize,
    },
    /// A REMOVEMAPPING with more ranges than any guest has reason to send.
    #[error("{count} ranges to remove, at most {MAX_REMOVALS} are accepted")]
    TooManyRemovals {
        /// The number of ranges.
        count: u32,
    },
}

/// The kind of work of a request.
pub(crate) enum Work {
    /// SETUPMAPPING.
    Map(SetupRange),
    /// REMOVEMAPPING.
    Unmap(Vec<RemoveRange>),
    /// Any other operation, for the file system. INIT and DESTROY clear the window, too.
    File,
    /// An invalid message about the window.
    Bad(MessageError),
}

impl Work {
    fn of(header: &Header, request: &ChainBuffers) -> Self {
        let work = match header.opcode() {
            Some(Opcode::SetupMapping) => Self::map(header, request),
            Some(Opcode::RemoveMapping) => Self::unmap(header, request),
            _ => Ok(Self::File),
        };
        work.unwrap_or_else(Self::Bad)
    }

    fn map(header: &Header, request: &ChainBuffers) -> Result<Self, MessageError> {
        header.claims(size_of::<InHeader>() + size_of::<SetupmappingIn>())?;
        let message: SetupmappingIn = request
            .read_object(size_of::<InHeader>())
            .map_err(MessageError::Short)?;
        let access = if message.flags & SetupmappingFlags::WRITE.bits() == 0 {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        };
        Ok(Self::Map(SetupRange {
            window: WindowOffset(message.moffset),
            file: FileOffset(message.foffset),
            len: message.len,
            access,
        }))
    }

    fn unmap(header: &Header, request: &ChainBuffers) -> Result<Self, MessageError> {
        let ranges = size_of::<InHeader>() + size_of::<RemovemappingIn>();
        header.claims(ranges)?;
        let RemovemappingIn { count } = request
            .read_object(size_of::<InHeader>())
            .map_err(MessageError::Short)?;
        if count > MAX_REMOVALS {
            return Err(MessageError::TooManyRemovals { count });
        }
        let size = size_of::<RemovemappingOne>();
        header.claims(ranges + count as usize * size)?;
        (0..count as usize)
            .map(|index| {
                let one: RemovemappingOne = request.read_object(ranges + index * size)?;
                Ok(RemoveRange {
                    window: WindowOffset(one.moffset),
                    len: one.len,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self::Unmap)
            .map_err(MessageError::Short)
    }
}

/// A request whose header could be read.
pub(crate) struct Message {
    pub(crate) request: ChainBuffers,
    pub(crate) header: Header,
    pub(crate) work: Work,
}

impl Message {
    /// Reads descriptors, header and message. Buffers outside memory may lie in the files of
    /// `mapped`. Without a window all messages are for the file system.
    pub(super) fn read(
        chain: DescriptorChain<Arc<TransportMemory>>,
        memory: Arc<TransportMemory>,
        mapped: Option<&dyn Mapped>,
        has_window: bool,
    ) -> Result<Self, ParseError> {
        let request = ChainBuffers::read_with(chain, memory, mapped)?;
        let header = Header::of(&request)?;
        let work = if has_window {
            Work::of(&header, &request)
        } else {
            Work::File
        };
        Ok(Self {
            request,
            header,
            work,
        })
    }

    /// The caller, in the file system's form.
    pub(crate) fn context(&self) -> Context {
        Context::from(*self.header.fields())
    }

    /// The file that the message is about.
    pub(crate) fn node(&self) -> NodeId {
        NodeId(self.header.fields().nodeid)
    }
}

/// A chain that holds no message; it is returned with length 0.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParseError {
    /// The chain is no request.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The request has no header.
    #[error(transparent)]
    Header(#[from] MessageError),
}

/// A request that was taken off its ring and read.
pub(crate) struct ParsedRequest {
    pub(crate) head: HeadIndex,
    pub(crate) guard: InFlightGuard,
    pub(crate) message: Result<Message, ParseError>,
    /// An earlier daemon had begun to serve this request.
    pub(crate) resubmitted: bool,
}

/// The start of every request.
#[derive(Clone, Copy)]
pub(crate) struct Header(InHeader);

impl Header {
    fn of(request: &ChainBuffers) -> Result<Self, MessageError> {
        request
            .read_object(0)
            .map(Self)
            .map_err(MessageError::Short)
    }

    pub(crate) fn fields(&self) -> &InHeader {
        &self.0
    }

    /// The operation, if it is one that FUSE knows.
    pub(crate) fn opcode(&self) -> Option<Opcode> {
        Opcode::try_from(self.0.opcode).ok()
    }

    /// Forgets have no reply, even if there is room for one.
    pub(crate) fn wants_reply(&self) -> bool {
        !matches!(self.opcode(), Some(Opcode::Forget | Opcode::BatchForget))
    }

    pub(super) fn claims(&self, needed: usize) -> Result<(), MessageError> {
        if (self.0.len as usize) < needed {
            return Err(MessageError::BadLength {
                claimed: self.0.len,
                needed,
            });
        }
        Ok(())
    }

    /// The header of a reply without a body; `errno` 0 is success.
    pub(crate) fn reply(&self, errno: i32) -> OutHeader {
        OutHeader {
            len: size_of::<OutHeader>() as u32,
            error: -errno,
            unique: self.0.unique,
        }
    }
}

/// Adds MAP_ALIGNMENT to the reply of an INIT that offered it.
///
/// virtiofsd's server drops that flag in both directions. The alignment is this host's page size: a
/// guest may ask for any page aligned range.
///
/// # Errors
/// If the request or the reply is shorter than INIT's; nothing was changed then.
pub(crate) fn add_map_alignment(
    request: &ChainBuffers,
    reply_len: u32,
) -> Result<(), PayloadError> {
    let offered: u32 = request.read_object(INIT_IN_FLAGS)?;
    let full = size_of::<OutHeader>() + size_of::<InitOut>();
    let mut error = [0; 4];
    request.read_back_at(4, &mut error)?;
    if offered & MAP_ALIGNMENT == 0 || (reply_len as usize) < full || error != [0; 4] {
        return Ok(());
    }
    let mut flags = [0; 4];
    request.read_back_at(INIT_OUT_FLAGS, &mut flags)?;
    let flags = u32::from_ne_bytes(flags) | MAP_ALIGNMENT;
    let log2_of_page = shared_window::page_size().trailing_zeros() as u16;
    request.write_at(INIT_OUT_MAP_ALIGNMENT, &log2_of_page.to_ne_bytes())?;
    request.write_at(INIT_OUT_FLAGS, &flags.to_ne_bytes())
}
