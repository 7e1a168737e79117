// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The bytes of a request.

use fuse_backend_rs::abi::fuse_abi::InHeader;
use fuse_backend_rs::abi::virtio_fs::RemovemappingOne;
use vm_memory::VolatileSlice;
use vm_memory_017::ByteValued;

use super::request::Tail;
use super::{Body, FuseError, Request};

/// More than the longest request without bulk data.
const LONGEST: usize = 1 << 16;

impl Request<'_> {
    /// The request's bytes without bulk data, for a queue that is no [`crate::Queue`]. It comes from
    /// root's process 0.
    pub fn to_bytes(&self, unique: u64) -> Vec<u8> {
        let mut bytes = vec![0; LONGEST];
        let mut encoder = Encoder::new(VolatileSlice::from(&mut bytes[..]));
        let encoded = encoder.body(&self.body);
        encoded.expect("names and lists of less than 64 KiB");
        let header = InHeader {
            opcode: self.body.number,
            unique,
            nodeid: self.node.0,
            ..InHeader::default()
        };
        let len = encoder.finish(header, self.body.send.len);
        bytes.truncate(len as usize);
        bytes
    }
}

/// Writes a request without its bulk data.
pub(super) struct Encoder<'a> {
    room: VolatileSlice<'a>,
    len: usize,
}

impl<'a> Encoder<'a> {
    /// Begins behind the header. The header is written last, because it holds the total length.
    pub(super) fn new(room: VolatileSlice<'a>) -> Self {
        let len = size_of::<InHeader>();
        Self { room, len }
    }

    /// Writes the header, and returns how many bytes are used.
    pub(super) fn finish(self, mut header: InHeader, bulk: u32) -> u32 {
        header.len = self.len as u32 + bulk;
        self.room.copy_from(header.as_slice());
        self.len as u32
    }

    /// Appends the arguments, and what follows them.
    pub(super) fn body(&mut self, body: &Body<'_>) -> Result<(), FuseError> {
        self.bytes(body.arguments())?;
        match body.tail {
            Tail::None => Ok(()),
            Tail::Bytes(bytes) => self.bytes(bytes),
            Tail::Name(name) => self.name(name),
            Tail::Names(first, second) => {
                self.name(first)?;
                self.name(second)
            }
            Tail::Value(name, value) => {
                self.name(name)?;
                self.bytes(value)
            }
            Tail::Forgotten(nodes) => nodes.iter().try_for_each(|node| self.put(node)),
            Tail::Ranges(ranges) => ranges.iter().try_for_each(|(at, len)| {
                let (moffset, len) = (at.0, *len);
                self.put(&RemovemappingOne { moffset, len })
            }),
        }
    }

    fn name(&mut self, name: &[u8]) -> Result<(), FuseError> {
        self.bytes(name)?;
        self.bytes(&[0])
    }

    fn put(&mut self, value: &impl ByteValued) -> Result<(), FuseError> {
        self.bytes(value.as_slice())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FuseError> {
        let (len, limit) = (self.len + bytes.len(), self.room.len());
        let place = self.room.subslice(self.len, bytes.len());
        place
            .map_err(|_| FuseError::TooLong { len, limit })?
            .copy_from(bytes);
        self.len = len;
        Ok(())
    }
}
