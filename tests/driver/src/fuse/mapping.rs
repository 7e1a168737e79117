// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's requests for the window.

use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingFlags, SetupmappingIn};

use super::{Body, Client, FuseError};
use crate::units::{FileOffset, Handle, NodeId, WindowOffset};

impl Body<'_> {
    /// SETUPMAPPING as Linux sends it, without a handle.
    pub fn setup_mapping(from: FileOffset, len: u64, at: WindowOffset, write: bool) -> Self {
        let mut flags = SetupmappingFlags::READ;
        if write {
            flags |= SetupmappingFlags::WRITE;
        }
        Self::SetupMapping(SetupmappingIn {
            fh: Handle::NONE.0,
            foffset: from.0,
            len,
            flags: flags.bits(),
            moffset: at.0,
        })
    }
}

impl Client {
    /// SETUPMAPPING: maps `len` bytes of the file, starting at `from`, at `at` of the window.
    pub fn setup_mapping(
        &mut self,
        node: NodeId,
        from: FileOffset,
        len: u64,
        at: WindowOffset,
        write: bool,
    ) -> Result<(), FuseError> {
        self.call(node, Body::setup_mapping(from, len, at, write))
            .map(drop)
    }

    /// REMOVEMAPPING of these ranges.
    pub fn remove_mapping(
        &mut self,
        node: NodeId,
        ranges: &[(WindowOffset, u64)],
    ) -> Result<(), FuseError> {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|(at, len)| RemovemappingOne {
                moffset: at.0,
                len: *len,
            })
            .collect();
        let body = Body::RemoveMapping {
            count: ranges.len() as u32,
            ranges: &ranges,
        };
        self.call(node, body).map(drop)
    }
}
