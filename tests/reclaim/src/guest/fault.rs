// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why an order can't be carried out.

use std::io;

/// Why an order can't be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The kernel refuses.
    #[error("{doing}: {source}")]
    System {
        /// What was done.
        doing: String,
        /// What it said.
        source: io::Error,
    },
    /// A page is another's, or nobody's.
    #[error("{path}, byte {at}: the page has the stamp {found:x}, but {wanted:x} belongs there")]
    WrongPage {
        /// The file.
        path: String,
        /// Where its page begins.
        at: u64,
        /// What is there.
        found: u64,
        /// What should be.
        wanted: u64,
    },
    /// What was written is not there.
    #[error("{path}, byte {at}: written by turn {wanted}, but what turn {found} wrote is read")]
    LostWrite {
        /// The file.
        path: String,
        /// Where the page begins.
        at: u64,
        /// Whose write is there.
        found: u64,
        /// Whose should be.
        wanted: u64,
    },
    /// A call moved fewer bytes than it was told to.
    #[error("{path}, byte {at}: {moved} bytes were moved in place of {wanted}")]
    Short {
        /// The file.
        path: String,
        /// Where.
        at: u64,
        /// How many were.
        moved: usize,
        /// How many should have been.
        wanted: usize,
    },
    /// The order makes no sense now.
    #[error("{0}")]
    Order(String),
    /// A thread does not end.
    #[error("an access has not ended {0} s after the pins were let go of")]
    Hangs(u64),
}

impl Fault {
    /// What makes a system's error one of ours.
    pub fn of<E: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(E) -> Self {
        |error| Self::System {
            doing: doing.into(),
            source: error.into(),
        }
    }
}
