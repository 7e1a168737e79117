// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests.

use fuse_backend_rs::abi::fuse_abi::{
    AccessIn, CopyFileRangeIn, CreateIn, FallocateIn, FlushIn, ForgetOne, FsyncIn, GetattrIn,
    InitIn, InitIn2, LkIn, LseekIn, MkdirIn, MknodIn, Opcode, OpenIn, ReadIn, ReleaseIn, Rename2In,
    SetattrIn, WriteIn,
};
use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingIn};

use crate::memory::GuestSpan;
use crate::units::{NodeId, Unique};

/// A request: the node and the operation.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The node that the header names.
    pub node: NodeId,
    /// The operation.
    pub body: Body<'a>,
}

/// The operation. Names and paths are without their NUL. Bulk data goes to and from spans of guest
/// memory without a copy.
#[derive(Debug, Clone, Copy)]
#[expect(
    missing_docs,
    reason = "the variants and fields are those of linux/fuse.h"
)]
pub enum Body<'a> {
    Lookup {
        name: &'a [u8],
    },
    Forget {
        lookups: u64,
    },
    BatchForget {
        nodes: &'a [ForgetOne],
    },
    Getattr(GetattrIn),
    Setattr(SetattrIn),
    Readlink {
        into: GuestSpan,
    },
    Symlink {
        name: &'a [u8],
        target: &'a [u8],
    },
    Mknod {
        args: MknodIn,
        name: &'a [u8],
    },
    Mkdir {
        args: MkdirIn,
        name: &'a [u8],
    },
    Unlink {
        name: &'a [u8],
    },
    Rmdir {
        name: &'a [u8],
    },
    Rename {
        new_parent: NodeId,
        name: &'a [u8],
        new_name: &'a [u8],
    },
    Rename2 {
        args: Rename2In,
        name: &'a [u8],
        new_name: &'a [u8],
    },
    Link {
        node: NodeId,
        name: &'a [u8],
    },
    Open(OpenIn),
    Read {
        args: ReadIn,
        into: GuestSpan,
    },
    Write {
        args: WriteIn,
        from: GuestSpan,
    },
    Statfs,
    Release(ReleaseIn),
    Fsync(FsyncIn),
    Setxattr {
        name: &'a [u8],
        value: &'a [u8],
        flags: u32,
    },
    /// Without room the reply is the value's size.
    Getxattr {
        name: &'a [u8],
        into: GuestSpan,
    },
    /// Without room the reply is the list's size.
    Listxattr {
        into: GuestSpan,
    },
    Removexattr {
        name: &'a [u8],
    },
    Flush(FlushIn),
    Init(InitIn, InitIn2),
    Opendir(OpenIn),
    Readdir {
        args: ReadIn,
        into: GuestSpan,
    },
    Readdirplus {
        args: ReadIn,
        into: GuestSpan,
    },
    Releasedir(ReleaseIn),
    Fsyncdir(FsyncIn),
    Getlk(LkIn),
    Setlk(LkIn),
    Setlkw(LkIn),
    Access(AccessIn),
    Create {
        args: CreateIn,
        name: &'a [u8],
    },
    Interrupt {
        unique: Unique,
    },
    Destroy,
    Fallocate(FallocateIn),
    Lseek(LseekIn),
    CopyFileRange(CopyFileRangeIn),
    SetupMapping(SetupmappingIn),
    /// `count` is what the message claims; a correct one is the number of ranges.
    RemoveMapping {
        count: u32,
        ranges: &'a [RemovemappingOne],
    },
    /// Any operation, also one unknown to FUSE. The whole payload of the reply goes to `into`.
    Raw {
        opcode: u32,
        body: &'a [u8],
        into: GuestSpan,
    },
}

impl<'a> Request<'a> {
    /// A request.
    pub fn new(node: NodeId, body: Body<'a>) -> Self {
        Self { node, body }
    }
}

impl Body<'_> {
    /// The opcode of the header. An opcode unknown to FUSE is [`Opcode::MaxOpcode`].
    pub fn opcode(&self) -> Opcode {
        match self {
            Self::Lookup { .. } => Opcode::Lookup,
            Self::Forget { .. } => Opcode::Forget,
            Self::BatchForget { .. } => Opcode::BatchForget,
            Self::Getattr(_) => Opcode::Getattr,
            Self::Setattr(_) => Opcode::Setattr,
            Self::Readlink { .. } => Opcode::Readlink,
            Self::Symlink { .. } => Opcode::Symlink,
            Self::Mknod { .. } => Opcode::Mknod,
            Self::Mkdir { .. } => Opcode::Mkdir,
            Self::Unlink { .. } => Opcode::Unlink,
            Self::Rmdir { .. } => Opcode::Rmdir,
            Self::Rename { .. } => Opcode::Rename,
            Self::Rename2 { .. } => Opcode::Rename2,
            Self::Link { .. } => Opcode::Link,
            Self::Open(_) => Opcode::Open,
            Self::Read { .. } => Opcode::Read,
            Self::Write { .. } => Opcode::Write,
            Self::Statfs => Opcode::Statfs,
            Self::Release(_) => Opcode::Release,
            Self::Fsync(_) => Opcode::Fsync,
            Self::Setxattr { .. } => Opcode::Setxattr,
            Self::Getxattr { .. } => Opcode::Getxattr,
            Self::Listxattr { .. } => Opcode::Listxattr,
            Self::Removexattr { .. } => Opcode::Removexattr,
            Self::Flush(_) => Opcode::Flush,
            Self::Init(..) => Opcode::Init,
            Self::Opendir(_) => Opcode::Opendir,
            Self::Readdir { .. } => Opcode::Readdir,
            Self::Readdirplus { .. } => Opcode::Readdirplus,
            Self::Releasedir(_) => Opcode::Releasedir,
            Self::Fsyncdir(_) => Opcode::Fsyncdir,
            Self::Getlk(_) => Opcode::Getlk,
            Self::Setlk(_) => Opcode::Setlk,
            Self::Setlkw(_) => Opcode::Setlkw,
            Self::Access(_) => Opcode::Access,
            Self::Create { .. } => Opcode::Create,
            Self::Interrupt { .. } => Opcode::Interrupt,
            Self::Destroy => Opcode::Destroy,
            Self::Fallocate(_) => Opcode::Fallocate,
            Self::Lseek(_) => Opcode::Lseek,
            Self::CopyFileRange(_) => Opcode::CopyFileRange,
            Self::SetupMapping(_) => Opcode::SetupMapping,
            Self::RemoveMapping { .. } => Opcode::RemoveMapping,
            Self::Raw { .. } => Opcode::MaxOpcode,
        }
    }

    /// The opcode as a number.
    pub(super) fn number(&self) -> u32 {
        match self {
            Self::Raw { opcode, .. } => *opcode,
            other => other.opcode() as u32,
        }
    }
}
