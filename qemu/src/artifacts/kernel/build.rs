// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Kernels built here from Debian's source of 6.12, with this project's configuration and patches
//! (the folder kernels).
//!
//! ```text
//!   kernel-source-6.12        the package's archive, as it was fetched
//!        │ unpack, configure, make
//!   kernel-tree-6.12-DIGEST   the built tree of the stock variant, packed
//!        │ restore, apply patches, configure, make: only what they touch is compiled
//!   kernel-build-6.12+x-DIGEST   bzImage and config
//! ```
//!
//! A digest covers all inputs, so a changed patch makes another kernel, and the replaced kernel is
//! removed. make compiles all that is out of date. Nothing else of a tree is in a kernel, not even
//! the time, so the result is the same as from a clean tree.

mod options;
mod recipe;
mod source;
mod tree;
mod unused;
mod variant;

use std::path::{Path, PathBuf};

pub use crate::artifacts::needs::kernel as missing_packages;
pub use variant::BuiltKernel;

use super::{Kernel, KernelError, header};
use crate::artifacts::artifact;
use crate::artifacts::cache::{Bench, Cache, CacheError};
use crate::artifacts::compile::CompileError;
use crate::artifacts::packages::PackagesError;
use crate::artifacts::patch::PatchError;
use crate::artifacts::tool::ToolError;
use recipe::Recipe;
use source::Source;
use tree::Tree;

/// Why a kernel could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// This machine lacks programs or headers.
    #[error("packages are missing: apt-get install {0}")]
    Needs(String),
    /// The source could not be fetched.
    #[error("getting the source package")]
    Source(#[source] PackagesError),
    /// The source package lacks an expected file.
    #[error("the source package holds no {0}")]
    Shape(&'static str),
    /// A host program failed.
    #[error("{doing}")]
    Tool {
        /// The program's task.
        doing: &'static str,
        /// The program's error.
        #[source]
        source: ToolError,
    },
    /// The kernel does not know some options, or does not keep their values.
    #[error("the kernel's configuration does not keep these options of fragment.config: {0}")]
    Options(String),
    /// A patch does not fit the source.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The compiler, or a later step, failed.
    #[error(transparent)]
    Make(#[from] CompileError),
}

impl BuildError {
    /// For `map_err`: the error of a host program.
    fn tool(doing: &'static str) -> impl FnOnce(ToolError) -> Self {
        move |source| Self::Tool { doing, source }
    }
}

const IMAGE_FILE: &str = "bzImage";
const CONFIG_FILE: &str = "config";
const TREE_PREFIX: &str = "kernel-tree-6.12-";
const TREE_FILE: &str = "tree.tar";

/// The cache's copy of `which`, built when there is none.
pub(super) fn obtain(which: BuiltKernel, cache: &Cache) -> Result<Kernel, KernelError> {
    if let Some(kernel) = cached(which, cache)? {
        return Ok(kernel);
    }
    let tree = build(which, cache).map_err(KernelError::building(which.label()))?;
    locate(which, &tree)
}

/// The cache's copy of `which`, if there is one.
pub(super) fn cached(which: BuiltKernel, cache: &Cache) -> Result<Option<Kernel>, KernelError> {
    find(which, cache)
        .map_err(KernelError::building(which.label()))?
        .map(|tree| locate(which, &tree))
        .transpose()
}

fn find(which: BuiltKernel, cache: &Cache) -> Result<Option<PathBuf>, BuildError> {
    let Some(source) = source::cached(cache)? else {
        return Ok(None);
    };
    let recipe = Recipe::of(which, &source.version);
    Ok(artifact::open(cache, &recipe.name())?)
}

fn build(which: BuiltKernel, cache: &Cache) -> Result<PathBuf, BuildError> {
    let missing = missing_packages();
    if !missing.is_empty() {
        return Err(BuildError::Needs(missing.join(" ")));
    }
    let source = source::obtain(cache)?;
    let mut bench = cache.bench()?;
    // The previous holder of the bench may have built it.
    if let Some(built) = find(which, cache)? {
        return Ok(built);
    }
    build_on(&mut bench, which, &source, cache).map_err(|error| cache.explained(error))
}

fn build_on(
    bench: &mut Bench,
    which: BuiltKernel,
    source: &Source,
    cache: &Cache,
) -> Result<PathBuf, BuildError> {
    let stock = stock_tree(bench, source, cache)?;
    let recipe = Recipe::of(which, &source.version);
    let tree = Tree::restore(cache, bench, &stock)?;
    tree.apply(recipe.patches)?;
    tree.configure(&recipe)?;
    tree.make(which.label(), false)?;
    let files = [(tree.image(), IMAGE_FILE), (tree.config(), CONFIG_FILE)];
    Ok(artifact::keep(
        cache,
        &recipe.name(),
        &files,
        &recipe.prefix(),
    )?)
}

/// The packed tree of the stock variant, built.
fn stock_tree(bench: &mut Bench, source: &Source, cache: &Cache) -> Result<PathBuf, BuildError> {
    let recipe = Recipe::of(BuiltKernel::Stock, &source.version);
    let name = format!("{TREE_PREFIX}{}", recipe.digest());
    let place = match artifact::open(cache, &name)? {
        Some(place) => place,
        None => {
            let tree = Tree::unpack(cache, bench, &source.tarball)?;
            tree.configure(&recipe)?;
            tree.make("the tree that all kernels build:6.12 share", true)?;
            let packed = [(tree.pack()?, TREE_FILE)];
            artifact::keep(cache, &name, &packed, TREE_PREFIX)?
        }
    };
    Ok(place.join(TREE_FILE))
}

fn locate(which: BuiltKernel, tree: &Path) -> Result<Kernel, KernelError> {
    let image = tree.join(IMAGE_FILE);
    Ok(Kernel {
        release: header::release(&image)?,
        image,
        modules_dir: None,
        label: which.label().to_owned(),
        config: Some(tree.join(CONFIG_FILE)),
    })
}
