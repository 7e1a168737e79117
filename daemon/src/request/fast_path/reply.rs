// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Replies, written in one call.

use std::io;

use smallvec::SmallVec;
use virtiofsd::fuse::{EntryOut, OutHeader};
use vm_memory_017::ByteValued;

use crate::adapter::{ChainBuffers, PayloadError};

const HEADER: usize = size_of::<OutHeader>();
/// The largest reply that is not file data.
const LARGEST: usize = HEADER + size_of::<EntryOut>();

/// The part of a reply after its header.
pub(crate) struct Body {
    /// Header and body; the header's bytes are filled in at the end.
    bytes: SmallVec<[u8; LARGEST]>,
    /// How many bytes are in the guest's memory already.
    in_place: usize,
}

impl Body {
    pub(crate) fn none() -> Self {
        Self::in_place(0)
    }

    pub(crate) fn of<T: ByteValued>(body: T) -> Self {
        let mut bytes = SmallVec::from_elem(0, HEADER);
        bytes.extend_from_slice(body.as_slice());
        Self { bytes, in_place: 0 }
    }

    /// A body of `len` bytes that were written directly.
    pub(super) fn in_place(len: usize) -> Self {
        Self {
            bytes: SmallVec::from_elem(0, HEADER),
            in_place: len,
        }
    }
}

/// The result of a request.
pub(crate) struct Reply {
    body: Body,
    error: i32,
}

impl Reply {
    pub(crate) fn of(result: io::Result<Body>) -> Self {
        match result {
            Ok(body) => Self { body, error: 0 },
            Err(error) => Self {
                body: Body::none(),
                error: -error.raw_os_error().unwrap_or(libc::EIO),
            },
        }
    }

    /// Whether the request failed with this error.
    pub(super) fn is_of(&self, errno: i32) -> bool {
        self.error == -errno
    }

    /// Writes all that is not in the guest's memory yet; returns the reply's length.
    pub(crate) fn write(
        mut self,
        unique: u64,
        request: &ChainBuffers,
    ) -> Result<u32, PayloadError> {
        // Within the chain, whose length is a u32.
        let len = (self.body.bytes.len() + self.body.in_place) as u32;
        let header = OutHeader {
            len,
            error: self.error,
            unique,
        };
        self.body.bytes[..HEADER].copy_from_slice(header.as_slice());
        request.write_at(0, &self.body.bytes)?;
        Ok(len)
    }
}
