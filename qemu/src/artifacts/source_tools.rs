// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tools for a source tree in a guest: git, GNU grep and tcc, with their libraries.
//!
//! They come from one fixed suite, so that a guest is the same whatever its host.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{Suite, Want};
use super::artifact;
use super::cache::{Cache, CacheError};
use super::packages::{self, PackagesError};

/// Why there are no tools.
#[derive(Debug, thiserror::Error)]
pub enum SourceToolsError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The packages could not be fetched.
    #[error("getting git, grep and tcc")]
    Packages(#[from] PackagesError),
    /// The packages lack an expected file.
    #[error("the packages of Debian {SUITE} hold no {0}")]
    Shape(&'static str),
}

const NAME: &str = "source-tools";
/// The suite of the guests' default kernel, whose index is in the cache anyway.
const SUITE: &str = "trixie";
/// The programs need no other dependencies of their packages.
const PACKAGES: [&str; 6] = ["git", "grep", "tcc", "libc6", "libpcre2-8-0", "zlib1g"];
const LOADER: &str = "lib64/ld-linux-x86-64.so.2";
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libpcre2-8.so.0", "libz.so.1"];
const PROGRAMS: [&str; 3] = ["git", "grep", "tcc"];
/// Where the guest has the programs: busybox has a grep of its own.
pub const BIN: &str = "/opt/bin";

/// The tools as files for an initramfs, path there and path here; fetched when the cache has none.
pub fn obtain(cache: &Cache) -> Result<Vec<(String, PathBuf)>, SourceToolsError> {
    let tree = artifact::obtain(cache, NAME, |lock, tree| -> Result<(), SourceToolsError> {
        let suite = Suite::open(cache, lock, SUITE).map_err(PackagesError::from)?;
        let names = PACKAGES.map(str::to_owned);
        packages::unpack(&suite, NAME, Want::Exactly(&names), tree)?;
        files(tree).map(drop)
    })?;
    files(&tree)
}

fn files(tree: &Path) -> Result<Vec<(String, PathBuf)>, SourceToolsError> {
    let mut files = Vec::new();
    for name in PROGRAMS {
        let found = packages::first_of(tree, [&format!("usr/bin/{name}"), &format!("bin/{name}")]);
        files.push((
            format!("{BIN}/{name}"),
            found.ok_or(SourceToolsError::Shape(name))?,
        ));
    }
    for name in LIBRARIES {
        let folders = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        let places = folders.map(|folder| format!("{folder}/{name}"));
        let found = packages::first_of(tree, [places[0].as_str(), places[1].as_str()]);
        let found = found.ok_or(SourceToolsError::Shape(name))?;
        files.push((format!("/lib/x86_64-linux-gnu/{name}"), found));
    }
    let loader = packages::first_of(
        tree,
        [
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        ],
    );
    let loader = loader.ok_or(SourceToolsError::Shape("ld-linux-x86-64.so.2"))?;
    files.push((format!("/{LOADER}"), loader));
    // tcc expects these files for every program.
    let own = tree.join("usr/lib/x86_64-linux-gnu/tcc");
    for folder in [own.clone(), own.join("include")] {
        let entries = fs::read_dir(&folder).map_err(|_| SourceToolsError::Shape("tcc's files"))?;
        let paths = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_file());
        files.extend(paths.filter_map(|path| {
            let below = path.strip_prefix(tree).ok()?;
            Some((format!("/{}", below.display()), path.clone()))
        }));
    }
    Ok(files)
}
