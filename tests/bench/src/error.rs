// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why something could not be measured.

use virtiofs_driver::FuseError;

use crate::{files::FilesError, map::LimitError, sides::SideError, window::ReadError};

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// It is to end.
    #[error("measuring was stopped")]
    Stopped,
    /// The files can't be made.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The physical limit can't be measured.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A daemon does not serve.
    #[error(transparent)]
    Side(#[from] SideError),
    /// A daemon refused a request, or its reply is wrong.
    #[error("{side}: {work}")]
    Request {
        /// Whose.
        side: String,
        /// At what.
        work: String,
        /// What came.
        source: FuseError,
    },
    /// A file can't be read.
    #[error("{side}: {work}")]
    Read {
        /// Whose.
        side: String,
        /// At what.
        work: String,
        /// Why.
        source: ReadError,
    },
    /// A reply is right in itself, but says something else than it must.
    #[error("{side}: {work}: {what}")]
    Reply {
        /// Whose.
        side: String,
        /// To what.
        work: String,
        /// What it says.
        what: String,
    },
}
