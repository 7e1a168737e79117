// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Orders and answers.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Belongings, Fault};

/// Something that an actor can do. The type is the order; the host and the guest share it.
pub trait Verb: Serialize + DeserializeOwned {
    /// Its name on the wire.
    const NAME: &'static str;
    /// What it gives when it succeeds.
    type Yield: Serialize + DeserializeOwned;

    /// Does it, in the guest.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    fn run(self, own: &mut Belongings) -> Result<Self::Yield, Fault>;
}

/// An order as a line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// The name of the verb.
    pub verb: String,
    /// The verb's own fields.
    pub with: serde_json::Value,
}

/// When an order was carried out, on the guest's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Just before.
    pub began_ns: u64,
    /// Just after.
    pub ended_ns: u64,
}

/// The answer to an order, as a line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// When.
    pub span: Span,
    /// What came of it.
    pub outcome: Result<serde_json::Value, Fault>,
}

/// The line that orders `verb`, without its newline.
///
/// # Panics
///
/// Never: verbs are plain data.
pub fn order<V: Verb>(verb: &V) -> String {
    let order = Order {
        verb: V::NAME.to_owned(),
        with: serde_json::to_value(verb).expect("a verb is plain data"),
    };
    serde_json::to_string(&order).expect("an order is plain data")
}
