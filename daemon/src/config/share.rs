// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The shared directory, and the settings of virtiofsd's file system for it.

use virtiofsd::passthrough;

/// What is shared, and how.
#[derive(Debug)]
pub struct Share {
    /// The directory, as given.
    pub dir: String,
    /// The guest may change nothing.
    pub read_only: bool,
    /// virtiofsd's settings, complete except for the parts that only the sandbox knows: the root,
    /// the descriptors of /proc, and the limit of open files.
    pub passthrough: passthrough::Config,
}
