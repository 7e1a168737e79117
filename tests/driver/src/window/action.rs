// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the VMM does at single requests instead of what its rules say.

use std::fmt;
use std::time::Duration;

use super::Gate;
use crate::units::WindowOffset;

/// What a request on the back-end channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// SHMEM_MAP.
    Map,
    /// SHMEM_UNMAP.
    Unmap,
    /// SHARED_OBJECT_REMOVE, whose answer shows that all before it is done.
    Fence,
    /// Anything else; the number is the message's.
    Other(u32),
}

/// A request that has arrived and is not served yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What it is.
    pub kind: CallKind,
    /// How many of its kind there have been before.
    pub nth: u64,
    /// The place in the window, if it has one.
    pub at: WindowOffset,
    /// The length in bytes, if it has one.
    pub len: u64,
}

/// What the VMM does with a request.
#[derive(Debug, Clone, Default)]
pub enum Action {
    /// What the rules say.
    #[default]
    Proceed,
    /// Answer with this errno, and do nothing.
    Refuse(i32),
    /// Answer with this payload, 0 for success, and do nothing.
    Answer(u64),
    /// Take so long to begin with it; nothing else is held up but the channel.
    Delay(Duration),
    /// Begin with it when the gate is opened.
    Hold(Gate),
    /// Do it, and answer twice.
    AnswerTwice,
    /// Do it, and do not answer.
    NeverAnswer,
    /// Close the channel without an answer, and do nothing.
    CloseChannel,
    /// Answer, and let the effect wait for the gate; what follows on the channel waits too.
    HoldEffect(Gate),
}

/// Decides about each request.
pub struct Script(Box<dyn FnMut(&Call) -> Action + Send>);

impl Script {
    /// Asks `decide` at each request, on the channel's thread.
    pub fn new(decide: impl FnMut(&Call) -> Action + Send + 'static) -> Self {
        Self(Box::new(decide))
    }

    /// One action at the request of this kind before which there have been `nth` since the script
    /// was given.
    pub fn once(kind: CallKind, nth: u64, action: Action) -> Self {
        let mut seen = 0;
        Self::new(move |call| {
            if call.kind != kind {
                return Action::Proceed;
            }
            seen += 1;
            if seen == nth + 1 {
                action.clone()
            } else {
                Action::Proceed
            }
        })
    }

    pub(crate) fn decide(&mut self, call: &Call) -> Action {
        (self.0)(call)
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new(|_| Action::Proceed)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}
