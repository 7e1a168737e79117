// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A tree of kernel source to work in.
//!
//! The tree is always at the same path, on the cache's workbench: in a moved tree make compiles
//! everything again, since the paths of its own tools are absolute.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::recipe::Recipe;
use super::source::Source;
use super::{BuildError, options, unused};
use crate::artifacts::cache::{Bench, Cache, CacheError};
use crate::artifacts::kernel::make;
use crate::artifacts::patch::{self, Patch};
use crate::artifacts::tool;

/// The approximate number of objects; it varies with the version.
const OBJECTS: u64 = 1450;

/// The tree; there is one at a time on a bench.
pub(super) struct Tree<'a> {
    cache: &'a Cache,
    bench: &'a mut Bench,
}

impl<'a> Tree<'a> {
    /// Unpacks the source.
    pub(super) fn unpack(
        cache: &'a Cache,
        bench: &'a mut Bench,
        source: &Source,
    ) -> Result<Self, BuildError> {
        let tree = Self::empty(cache, bench)?;
        let mut tar = tool::command("tar");
        tar.args(["--strip-components=1", "--anchored", "--wildcards"]);
        for pattern in unused::patterns(&source.top) {
            tar.arg(format!("--exclude={pattern}"));
        }
        tar.arg("-xf").arg(&source.tarball);
        tar.arg("-C").arg(tree.root());
        tool::output(&mut tar).map_err(BuildError::tool("unpacking the kernel's source"))?;
        Ok(tree)
    }

    /// Unpacks a tree that [`Tree::pack`] packed. make finds it up to date.
    pub(super) fn restore(
        cache: &'a Cache,
        bench: &'a mut Bench,
        archive: &Path,
    ) -> Result<Self, BuildError> {
        let tree = Self::empty(cache, bench)?;
        let mut tar = tool::command("tar");
        tar.arg("-xf").arg(archive).arg("-C").arg(tree.root());
        tool::output(&mut tar).map_err(BuildError::tool("unpacking a built kernel tree"))?;
        Ok(tree)
    }

    /// Packs the tree into a file beside it. File times are kept to the nanosecond, since make
    /// compares them.
    pub(super) fn pack(&self) -> Result<PathBuf, BuildError> {
        let archive = self.bench.path().join("tree.tar");
        let mut tar = tool::command("tar");
        tar.args(["--format=posix", "-cf"]).arg(&archive);
        tar.arg("-C").arg(self.root()).arg(".");
        tool::output(&mut tar).map_err(BuildError::tool("packing a built kernel tree"))?;
        Ok(archive)
    }

    /// Sets the options of `recipe`, on top of the smallest configuration there is.
    pub(super) fn configure(&self, recipe: &Recipe<'_>) -> Result<(), BuildError> {
        let asked = recipe.options();
        let fragment = self.write("options", &asked)?;
        configure(&self.root(), &fragment, ".config")?;
        let path = self.config();
        let config = fs::read_to_string(&path).map_err(CacheError::io("reading", &path))?;
        match options::lost(&asked, &config).as_slice() {
            [] => Ok(()),
            lost => Err(BuildError::Options(lost.join(", "))),
        }
    }

    /// Applies patches. Each must apply without fuzz.
    pub(super) fn apply(&self, patches: &[Patch]) -> Result<(), BuildError> {
        Ok(patch::apply(patches, &self.root(), self.bench.path())?)
    }

    /// Applies patches in files.
    pub(super) fn apply_files(&self, patches: &[PathBuf]) -> Result<(), BuildError> {
        let root = self.root();
        let applied = patches.iter().map(|file| patch::apply_file(file, &root));
        Ok(applied.collect::<Result<(), _>>()?)
    }

    /// Compiles what is not up to date; `whole` if that is everything.
    pub(super) fn make(&self, what: &str, whole: bool) -> Result<(), BuildError> {
        let expected = whole.then_some(OBJECTS);
        let mut make = make::command(&self.root());
        make::MAKE.run(make::reproducible(&mut make), self.cache, what, expected)?;
        Ok(())
    }

    /// The compressed kernel.
    pub(super) fn image(&self) -> PathBuf {
        self.root().join(make::IMAGE)
    }

    /// The configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.root().join(".config")
    }

    fn empty(cache: &'a Cache, bench: &'a mut Bench) -> Result<Self, BuildError> {
        let tree = Self { cache, bench };
        let root = tree.root();
        if root.exists() {
            fs::remove_dir_all(&root).map_err(CacheError::io("removing", &root))?;
        }
        fs::create_dir(&root).map_err(CacheError::io("making", &root))?;
        Ok(tree)
    }

    fn root(&self) -> PathBuf {
        self.bench.path().join("tree")
    }

    /// Writes a file beside the tree.
    fn write(&self, name: &str, text: &str) -> Result<PathBuf, CacheError> {
        let path = self.bench.path().join(name);
        fs::write(&path, text).map_err(CacheError::io("writing", &path))?;
        Ok(path)
    }
}

/// Writes the file `config` of the source in `root`: the options of `fragment` on top of the smallest
/// configuration there is. Kconfig drops those that it does not know.
pub(in crate::artifacts::kernel) fn configure(
    root: &Path,
    fragment: &Path,
    config: &str,
) -> Result<(), BuildError> {
    let run = |command: &mut Command| {
        make::reproducible(command.current_dir(root)).env("KCONFIG_CONFIG", config);
        tool::output(command).map_err(BuildError::tool("configuring the kernel"))
    };
    run(tool::command("make").arg("tinyconfig"))?;
    // -n: what the fragment makes possible but does not ask for stays off.
    let mut merge = tool::command("scripts/kconfig/merge_config.sh");
    run(merge.args(["-n", config]).arg(fragment))?;
    Ok(())
}
