// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Actions of the VMM for single requests, in place of the rules.

use std::fmt;

use super::Gate;
use crate::units::WindowOffset;

/// The kinds of requests on the back-end channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// SHMEM_MAP.
    Map,
    /// SHMEM_UNMAP.
    Unmap,
    /// SHARED_OBJECT_REMOVE, whose answer proves that all earlier requests are in effect.
    Fence,
    /// Any other message, by its number.
    Other(u32),
}

/// A request that has arrived and is not served yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// What it is.
    pub kind: CallKind,
    /// How many requests of this kind came before.
    pub nth: u64,
    /// The window offset, if it has one.
    pub at: WindowOffset,
    /// The length in bytes, if it has one.
    pub len: u64,
}

/// The VMM's action for a request.
#[derive(Debug, Clone, Default)]
pub enum Action {
    /// Follow the rules.
    #[default]
    Proceed,
    /// Answer with this errno, without an effect.
    Refuse(i32),
    /// Answer with this payload (0 is success), without an effect.
    Answer(u64),
    /// Serve the request after the gate is opened.
    Hold(Gate),
    /// Serve the request, and answer twice.
    AnswerTwice,
    /// Serve the request, and do not answer.
    NeverAnswer,
    /// Close the channel without an answer or an effect.
    CloseChannel,
    /// Answer, and delay the effect until the gate is opened. Later requests on the channel wait
    /// too.
    HoldEffect(Gate),
}

/// Decides on an action for each request.
pub struct Script(Box<dyn FnMut(&Call) -> Action + Send>);

impl Script {
    /// Calls `decide` for each request, on the channel's thread.
    pub fn new(decide: impl FnMut(&Call) -> Action + Send + 'static) -> Self {
        Self(Box::new(decide))
    }

    /// Applies `action` once: to the request of this kind that follows `nth` others of the kind
    /// since the script was set.
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
