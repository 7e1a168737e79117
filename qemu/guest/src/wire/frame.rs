// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Frames: a little-endian `u32` length, then that many bytes of one message in postcard's format.
//!
//! [`Decoder`] takes bytes as they come and knows nothing of files or sockets, so the agent's
//! threads and the host's tasks share it. It holds at most one frame and one read's worth of
//! bytes, whatever the other end sends.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

use super::preamble::{Preamble, Version};

/// The longest message, in encoded bytes. Longer ones are refused by both ends.
pub const MAX_FRAME: usize = 1024 * 1024;

/// The most stream bytes in one message. With its header it fits one write of Linux's
/// virtio-serial driver, which takes 32 KiB at a time.
pub const MAX_CHUNK: usize = 32 * 1024 - 64;

const LENGTH_BYTES: usize = size_of::<u32>();

/// Why bytes could not become a message, or a message bytes. Nothing can follow it on the same
/// connection.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The first bytes are not this protocol's.
    #[error("the other end of the port does not speak the lab's protocol")]
    NotAnAgent,
    /// The other end was built from another tree.
    #[error(
        "protocol version {theirs} at the other end, {ours} here: build lab and agent from the same tree"
    )]
    Version {
        /// This build's version.
        ours: Version,
        /// The other end's.
        theirs: Version,
    },
    /// A message is longer than [`MAX_FRAME`].
    #[error("message of {len} bytes, the limit is {MAX_FRAME}")]
    TooLong { len: usize },
    /// A frame holds no message of this protocol.
    #[error("undecodable message of {len} bytes")]
    Malformed {
        /// The frame's length in bytes.
        len: usize,
        /// What postcard says.
        #[source]
        source: postcard::Error,
    },
    /// A frame holds a message and then something else.
    #[error("{extra} bytes too many in a message of {len}")]
    Trailing {
        /// The frame's length in bytes.
        len: usize,
        /// How many of them are left over.
        extra: usize,
    },
    /// A message could not be written in postcard's format.
    #[error("unencodable message")]
    Unencodable(#[source] postcard::Error),
}

/// One message as a frame, ready to be sent.
///
/// # Errors
///
/// [`FrameError::TooLong`] when it exceeds [`MAX_FRAME`].
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, FrameError> {
    let mut frame =
        postcard::to_extend(message, vec![0; LENGTH_BYTES]).map_err(FrameError::Unencodable)?;
    let len = frame.len() - LENGTH_BYTES;
    let prefix = u32::try_from(len)
        .ok()
        .filter(|_| len <= MAX_FRAME)
        .ok_or(FrameError::TooLong { len })?;
    frame[..LENGTH_BYTES].copy_from_slice(&prefix.to_le_bytes());
    Ok(frame)
}

/// Turns the other end's bytes into its messages.
#[derive(Debug)]
pub struct Decoder<M> {
    buffer: Vec<u8>,
    /// Where the undecoded bytes begin.
    start: usize,
    greeted: bool,
    message: PhantomData<fn() -> M>,
}

impl<M: DeserializeOwned> Decoder<M> {
    /// A decoder at the beginning of a connection.
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            greeted: false,
            message: PhantomData,
        }
    }

    /// Takes what was read. Call [`next`](Self::next) until it gives nothing before the next one.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message that has arrived in full. The other end's preamble is checked on the way.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when the bytes are not this protocol's; the connection is then of no use.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at the first `None`, which here means: not yet"
    )]
    pub fn next(&mut self) -> Result<Option<M>, FrameError> {
        if !self.greeted {
            let Some(preamble) = self.rest().first_chunk() else {
                return Ok(None);
            };
            Preamble::check(preamble)?;
            self.start += Preamble::LEN;
            self.greeted = true;
        }
        let Some((prefix, rest)) = self.rest().split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*prefix) as usize;
        if len > MAX_FRAME {
            return Err(FrameError::TooLong { len });
        }
        let Some(frame) = rest.get(..len) else {
            return Ok(None);
        };
        let message = decode(frame)?;
        self.start += LENGTH_BYTES + len;
        Ok(Some(message))
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

impl<M: DeserializeOwned> Default for Decoder<M> {
    fn default() -> Self {
        Self::new()
    }
}

fn decode<M: DeserializeOwned>(frame: &[u8]) -> Result<M, FrameError> {
    let len = frame.len();
    match postcard::take_from_bytes(frame) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(FrameError::Trailing {
            len,
            extra: rest.len(),
        }),
        Err(source) => Err(FrameError::Malformed { len, source }),
    }
}
