// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Why runs don't belong together.

use std::path::PathBuf;

/// What keeps runs from being merged; paths are the files that were read.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Another daxlab wrote one of them.
    #[error(
        "{} is of daxlab {}, {} of daxlab {}: merge what one version wrote",
        first.path.display(), first.value, second.path.display(), second.value
    )]
    Version {
        /// The first run.
        first: Of,
        /// Another.
        second: Of,
    },
    /// The same name for two kernels.
    #[error(
        "kernel {kernel} is {} in {} and {} in {}",
        first.value, first.path.display(), second.value, second.path.display()
    )]
    Kernel {
        /// The label.
        kernel: String,
        /// Its release in one run.
        first: Of,
        /// Its release in another.
        second: Of,
    },
    /// Some are shards and some are not, or they are shards of different numbers.
    #[error(
        "{} is {}, {} is {}: merge the shards of one run",
        first.path.display(), first.value, second.path.display(), second.value
    )]
    Shards {
        /// The first run.
        first: Of,
        /// Another.
        second: Of,
    },
    /// A cell is in two of them.
    #[error("{cell} is in {} and in {}", first.display(), second.display())]
    Twice {
        /// The cell's id.
        cell: String,
        /// The first file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

/// What a run says of itself.
#[derive(Debug)]
pub struct Of {
    /// Its file.
    pub path: PathBuf,
    /// What it says.
    pub value: String,
}
