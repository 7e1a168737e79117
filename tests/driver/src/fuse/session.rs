// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! INIT, DESTROY and requests about the whole file system.

use fuse_backend_rs::abi::fuse_abi::{FsOptions, InitOut, Kstatfs};

use super::client::expect_reply;
use super::{Body, Client, FuseError, Reply};
use crate::units::NodeId;

/// What a kernel sends in INIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitOptions {
    /// The protocol's version.
    pub version: (u32, u32),
    /// Bytes of readahead.
    pub max_readahead: u32,
    /// FUSE_… flags of both words.
    pub flags: FsOptions,
}

impl InitOptions {
    /// Linux 6.12 with a window: the flags that matter to a virtio-fs daemon.
    pub fn linux() -> Self {
        let flags = FsOptions::ASYNC_READ
            | FsOptions::POSIX_LOCKS
            | FsOptions::FLOCK_LOCKS
            | FsOptions::BIG_WRITES
            | FsOptions::DO_READDIRPLUS
            | FsOptions::READDIRPLUS_AUTO
            | FsOptions::ASYNC_DIO
            | FsOptions::PARALLEL_DIROPS
            | FsOptions::ATOMIC_O_TRUNC
            | FsOptions::HANDLE_KILLPRIV_V2
            | FsOptions::MAX_PAGES
            | FsOptions::MAP_ALIGNMENT
            | FsOptions::SUBMOUNTS
            | FsOptions::INIT_EXT
            | FsOptions::PERFILE_DAX;
        Self {
            version: (7, 38),
            max_readahead: 1 << 17,
            flags,
        }
    }
}

impl Default for InitOptions {
    fn default() -> Self {
        Self::linux()
    }
}

impl Client {
    /// INIT.
    pub fn init(&mut self, options: &InitOptions) -> Result<InitOut, FuseError> {
        let reply = self.call(NodeId(0), Body::init(options))?;
        expect_reply!(reply, Reply::Init(init) => init)
    }

    /// DESTROY, as at umount.
    pub fn destroy(&mut self) -> Result<(), FuseError> {
        self.finish(NodeId(0), Body::destroy())
    }

    /// STATFS.
    pub fn statfs(&mut self, node: NodeId) -> Result<Kstatfs, FuseError> {
        let reply = self.call(node, Body::statfs())?;
        expect_reply!(reply, Reply::Statfs(statfs) => statfs)
    }
}
