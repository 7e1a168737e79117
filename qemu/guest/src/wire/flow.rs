// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The credit of one stream, as its two ends count it.
//!
//! Invariant: bytes under way + bytes the receiver holds + the sender's [`SendCredit`] + what the
//! receiver's [`ReturnCredit`] has not yet given back = [`STREAM_WINDOW`].

/// How many bytes of one stream may be under way.
pub const STREAM_WINDOW: u32 = 256 * 1024;

/// Credit is given back in portions of at least this, so that it costs few messages.
const RETURN_PORTION: u32 = STREAM_WINDOW / 4;

/// The other end gave more credit than it had taken bytes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{returned} bytes of credit returned, with only {under_way} under way")]
pub struct TooMuchCredit {
    returned: u32,
    under_way: u32,
}

/// What the sender of a stream may still send.
#[derive(Debug)]
pub struct SendCredit(u32);

impl SendCredit {
    /// A whole window.
    pub fn new() -> Self {
        Self(STREAM_WINDOW)
    }

    /// How many of `wanted` bytes may be sent now; 0 means: wait for credit.
    pub fn available(&self, wanted: usize) -> usize {
        wanted.min(self.0 as usize)
    }

    /// Counts bytes that are sent.
    ///
    /// # Panics
    ///
    /// When there are more of them than [`available`](Self::available) allowed.
    pub fn spend(&mut self, bytes: usize) {
        assert!(
            bytes <= self.0 as usize,
            "sent {bytes} bytes with credit for {}",
            self.0
        );
        self.0 -= bytes as u32;
    }

    /// Adds what the receiver gives back.
    ///
    /// # Errors
    ///
    /// [`TooMuchCredit`] when that would make more than a window.
    pub fn restore(&mut self, bytes: u32) -> Result<(), TooMuchCredit> {
        let under_way = STREAM_WINDOW - self.0;
        if bytes > under_way {
            return Err(TooMuchCredit {
                returned: bytes,
                under_way,
            });
        }
        self.0 += bytes;
        Ok(())
    }
}

impl Default for SendCredit {
    fn default() -> Self {
        Self::new()
    }
}

/// What the receiver of a stream has consumed and not yet given back.
#[derive(Debug, Default)]
pub struct ReturnCredit(u32);

impl ReturnCredit {
    /// Counts consumed bytes; gives the credit to return once that is worth a message.
    pub fn consume(&mut self, bytes: usize) -> Option<u32> {
        self.0 = self
            .0
            .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        (self.0 >= RETURN_PORTION).then(|| std::mem::take(&mut self.0))
    }
}
