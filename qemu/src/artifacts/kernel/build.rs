// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Kernels built here from Debian's sources, with this project's configuration and patches (the
//! folder patches/linux). A kernel is a version of Linux, its base, and perhaps one change of it.
//!
//! ```text
//!   kernel-source-BASE        the package's archive, as it was fetched
//!        │ unpack, configure, make
//!   kernel-tree-BASE-DIGEST   the built tree of the base without a change, packed
//!        │ restore, apply patches, configure, make: only what they touch is compiled
//!   kernel-build-BASE+CHANGE-DIGEST   bzImage and config
//! ```
//!
//! A digest covers all inputs, so a changed patch makes another kernel, and the replaced kernel is
//! removed. make compiles all that is out of date. Nothing else of a tree is in a kernel, not even
//! the time, so the result is the same as from a clean tree.

mod base;
mod change;
mod mutant;
mod options;
mod recipe;
mod source;
mod tree;
mod unused;
mod variant;

use std::fs;
use std::path::{Path, PathBuf};

pub use crate::artifacts::needs::kernel as missing_packages;
pub use base::Base;
pub use mutant::Mutant;
pub use variant::{BuiltKernel, NotBuilt};

use super::{Kernel, KernelError, header};
use crate::artifacts::artifact;
use crate::artifacts::cache::{Bench, Cache, CacheError};
use crate::artifacts::compile::CompileError;
use crate::artifacts::packages::PackagesError;
use crate::artifacts::patch::PatchError;
use crate::artifacts::pool::PoolError;
use crate::artifacts::tool::ToolError;
use recipe::Recipe;
pub(super) use recipe::options_of_any_version;
use source::Source;
use tree::Tree;
pub(super) use tree::configure;

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
    /// A pinned source could not be fetched.
    #[error("getting the source package")]
    Pool(#[source] PoolError),
    /// The source package lacks an expected file.
    #[error("the source package holds no {0}")]
    Shape(String),
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
    /// Whether the source itself is at fault: another version of it may be built.
    pub fn is_of_the_source(&self) -> bool {
        matches!(
            self,
            Self::Tool { .. } | Self::Options(_) | Self::Patch(_) | Self::Make(_)
        )
    }

    /// For `map_err`: the error of fetching a source.
    fn source(error: impl Into<PackagesError>) -> Self {
        Self::Source(error.into())
    }

    /// For `map_err`: the error of a host program.
    fn tool(doing: &'static str) -> impl FnOnce(ToolError) -> Self {
        move |source| Self::Tool { doing, source }
    }
}

const IMAGE_FILE: &str = "bzImage";
const CONFIG_FILE: &str = "config";
const TREE_FILE: &str = "tree.tar";

/// The cache's copy of `which`, built when there is none.
pub(super) fn obtain(which: BuiltKernel, cache: &Cache) -> Result<Kernel, KernelError> {
    if let Some(kernel) = cached(which, cache)? {
        return Ok(kernel);
    }
    let tree = build(which, cache).map_err(KernelError::building(&which.to_string()))?;
    locate(which, &tree)
}

/// The cache's copy of `which`, if there is one.
pub(super) fn cached(which: BuiltKernel, cache: &Cache) -> Result<Option<Kernel>, KernelError> {
    find(which, cache)
        .map_err(KernelError::building(&which.to_string()))?
        .map(|tree| locate(which, &tree))
        .transpose()
}

fn find(which: BuiltKernel, cache: &Cache) -> Result<Option<PathBuf>, BuildError> {
    let Some(source) = source::cached(which.base(), cache)? else {
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
    let source = source::obtain(which.base(), cache)?;
    let mut bench = cache.bench()?;
    // The previous holder of the bench may have built it.
    if let Some(built) = find(which, cache)? {
        return Ok(built);
    }
    build_on(&mut bench, which, &source, cache).map_err(|error| cache.explained(error))
}

/// Builds `which` with these patches on top, and writes the image to `image`. Nothing of it is cached.
pub(super) fn patched(
    which: BuiltKernel,
    patches: &[PathBuf],
    image: &Path,
    cache: &Cache,
) -> Result<(), BuildError> {
    let missing = missing_packages();
    if !missing.is_empty() {
        return Err(BuildError::Needs(missing.join(" ")));
    }
    let source = source::obtain(which.base(), cache)?;
    let mut bench = cache.bench()?;
    let stock = stock_tree(&mut bench, which.base(), &source, cache)?;
    let recipe = Recipe::of(which, &source.version);
    let tree = Tree::restore(cache, &mut bench, &stock)?;
    tree.apply(&recipe.patches)?;
    tree.apply_files(patches)?;
    tree.configure(&recipe)?;
    let what = format!("{which} with {} patches", patches.len());
    tree.make(&what, false)?;
    let copied = fs::copy(tree.image(), image);
    copied.map_err(CacheError::io("writing", image))?;
    Ok(())
}

fn build_on(
    bench: &mut Bench,
    which: BuiltKernel,
    source: &Source,
    cache: &Cache,
) -> Result<PathBuf, BuildError> {
    let stock = stock_tree(bench, which.base(), source, cache)?;
    let recipe = Recipe::of(which, &source.version);
    let tree = Tree::restore(cache, bench, &stock)?;
    tree.apply(&recipe.patches)?;
    tree.configure(&recipe)?;
    tree.make(&which.to_string(), false)?;
    let files = [(tree.image(), IMAGE_FILE), (tree.config(), CONFIG_FILE)];
    Ok(artifact::keep(
        cache,
        &recipe.name(),
        &files,
        &recipe.prefix(),
    )?)
}

/// The packed tree of the base without a change, built.
fn stock_tree(
    bench: &mut Bench,
    base: Base,
    source: &Source,
    cache: &Cache,
) -> Result<PathBuf, BuildError> {
    let recipe = Recipe::of(BuiltKernel::stock(base), &source.version);
    let prefix = format!("kernel-tree-{}-", base.name());
    let name = format!("{prefix}{}", recipe.digest());
    let place = match artifact::open(cache, &name)? {
        Some(place) => place,
        None => {
            let tree = Tree::unpack(cache, bench, source)?;
            tree.configure(&recipe)?;
            let what = format!("the tree that all kernels build:{} share", base.name());
            tree.make(&what, true)?;
            let packed = [(tree.pack()?, TREE_FILE)];
            artifact::keep(cache, &name, &packed, &prefix)?
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
        label: which.to_string(),
        config: Some(tree.join(CONFIG_FILE)),
    })
}
