// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The arguments that name a part of a file and its pattern.

use std::path::PathBuf;

use crate::access::How;
use crate::file::Part;
use crate::pattern::Seed;

#[derive(Debug, clap::Args)]
pub(super) struct PartArgs {
    /// The file.
    pub path: PathBuf,
    /// How many bytes.
    #[arg(long)]
    pub len: u64,
    /// Where in the file, in bytes.
    #[arg(long, default_value_t = 0)]
    pub offset: u64,
    /// Which pattern.
    #[arg(long)]
    pub seed: u64,
    /// In which way.
    #[arg(long, value_enum)]
    pub how: How,
}

impl PartArgs {
    pub fn part(&self) -> Part {
        Part {
            offset: self.offset,
            len: self.len,
        }
    }

    pub fn seed(&self) -> Seed {
        Seed(self.seed)
    }
}
