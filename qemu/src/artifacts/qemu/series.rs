// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! QEMU built here: Debian's source of one version with this project's patches (the folder
//! patches), in which a device's window is one memory region.
//!
//! ```text
//!   qemu-source-11.1.1-DIGEST  the source as Debian has it, and what its build takes from PyPI
//!        │ unpack, apply patches, configure, ninja
//!   qemu-series-DIGEST         the program
//! ```
//!
//! It is linked to this machine's own libraries. Its firmware is that of the fetched QEMU, since
//! Debian's source has none.

mod recipe;
mod source;
mod tree;

use std::path::PathBuf;

pub use crate::artifacts::needs::qemu as missing_packages;

use super::PROGRAM;
use crate::artifacts::artifact;
use crate::artifacts::cache::{Cache, CacheError};
use crate::artifacts::compile::CompileError;
use crate::artifacts::patch::PatchError;
use crate::artifacts::pool::PoolError;
use crate::artifacts::tool::ToolError;
use tree::Tree;

/// Why it could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// This machine lacks programs or headers.
    #[error("packages are missing: apt-get install {0}")]
    Needs(String),
    /// The source could not be fetched.
    #[error("getting the source")]
    Source(#[from] PoolError),
    /// A host program failed.
    #[error("{doing}")]
    Tool {
        /// The program's task.
        doing: &'static str,
        /// The program's error.
        #[source]
        source: ToolError,
    },
    /// A patch does not fit the source.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// configure, or the compiler, failed.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl SeriesError {
    /// For `map_err`: the error of a host program.
    fn tool(doing: &'static str) -> impl FnOnce(ToolError) -> Self {
        move |source| Self::Tool { doing, source }
    }
}

/// What it is called on the command line and in messages.
pub const LABEL: &str = "series";
const PREFIX: &str = "qemu-series-";

/// The cache's copy of the program, built when there is none.
pub(super) fn obtain(cache: &Cache) -> Result<PathBuf, SeriesError> {
    match cached(cache)? {
        Some(program) => Ok(program),
        None => Ok(build(cache)?.join(PROGRAM)),
    }
}

/// The cache's copy of the program, if there is one.
pub(super) fn cached(cache: &Cache) -> Result<Option<PathBuf>, CacheError> {
    let tree = artifact::open(cache, &name())?;
    Ok(tree.map(|tree| tree.join(PROGRAM)))
}

fn name() -> String {
    format!("{PREFIX}{}", recipe::digest())
}

fn build(cache: &Cache) -> Result<PathBuf, SeriesError> {
    let missing = missing_packages();
    if !missing.is_empty() {
        return Err(SeriesError::Needs(missing.join(" ")));
    }
    let source = source::obtain(cache)?;
    let bench = cache.bench()?;
    // The previous holder of the bench may have built it.
    if let Some(tree) = artifact::open(cache, &name())? {
        return Ok(tree);
    }
    let program = Tree::unpack(cache, bench.path(), &source).and_then(|tree| tree.build());
    let program = program.map_err(|error| cache.explained(error))?;
    Ok(artifact::keep(
        cache,
        &name(),
        &[(program, PROGRAM)],
        PREFIX,
    )?)
}
