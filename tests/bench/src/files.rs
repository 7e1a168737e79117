// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of the share that is measured.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// The file that requests read and write.
pub const DATA: &str = "data";
/// Its size: larger than a second-level cache, and small enough for the page cache.
pub const DATA_SIZE: u64 = 64 << 20;
/// The folder of files to look up: `0`, `1` and so on.
pub const NAMES: &str = "names";
/// The number of these files.
pub const NAMES_COUNT: u32 = 2000;
/// The folder to list.
pub const MANY: &str = "many";
/// The number of its entries.
pub const MANY_COUNT: u32 = 10_000;
/// The folder of files with one range each.
pub const SMALL: &str = "small";
/// The size of each.
pub const SMALL_SIZE: u64 = 64 << 10;
/// A file of many ranges, most of them holes.
pub const SPARSE: &str = "sparse";
/// What Linux maps at a time.
pub const RANGE: u64 = 2 << 20;

/// A folder with files; its drop removes all.
#[derive(Debug)]
pub struct Files(TempDir);

impl Files {
    /// Makes an empty folder below `place`.
    ///
    /// # Errors
    ///
    /// If it can't be made.
    pub fn below(place: &Path) -> Result<Self> {
        let made = TempDir::with_prefix_in("daxlab-bench.", place);
        let told = || format!("can't make a folder to share in {}", place.display());
        made.map(Self).with_context(told)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Makes [`DATA`], [`NAMES`] and [`MANY`].
    ///
    /// # Errors
    ///
    /// If one can't be made.
    pub fn for_requests(&self) -> Result<()> {
        self.make(DATA, |path| fill(path, DATA_SIZE))?;
        self.folder(NAMES, NAMES_COUNT, |path| File::create(path).map(drop))?;
        self.folder(MANY, MANY_COUNT, |path| File::create(path).map(drop))
    }

    /// Makes `count` files in [`SMALL`], and [`SPARSE`] with as many ranges.
    ///
    /// # Errors
    ///
    /// If one can't be made.
    pub fn for_mappings(&self, count: u32) -> Result<()> {
        self.folder(SMALL, count, |path| File::create(path)?.set_len(SMALL_SIZE))?;
        self.make(SPARSE, |path| {
            File::create(path)?.set_len(u64::from(count) * RANGE)
        })
    }

    /// Makes a file of this size without holes, all of it in the page cache.
    ///
    /// # Errors
    ///
    /// If it can't be made.
    pub fn full(&self, name: &str, size: u64) -> Result<()> {
        self.make(name, |path| fill(path, size))
    }

    fn folder(&self, name: &str, count: u32, one: impl Fn(&Path) -> io::Result<()>) -> Result<()> {
        self.make(name, |path| {
            fs::create_dir(path)?;
            (0..count).try_for_each(|number| one(&path.join(number.to_string())))
        })
    }

    fn make(&self, name: &str, how: impl Fn(&Path) -> io::Result<()>) -> Result<()> {
        let path = self.root().join(name);
        match path.exists() {
            true => Ok(()),
            false => how(&path).with_context(|| format!("can't make {}", path.display())),
        }
    }
}

/// Writes bytes that differ from block to block, so that a wrong block is detected.
fn fill(path: &Path, size: u64) -> io::Result<()> {
    const BLOCK: u64 = 64 << 10;
    let file = File::create(path)?;
    for at in (0..size).step_by(BLOCK as usize) {
        let block = vec![(at / BLOCK) as u8 | 1; BLOCK.min(size - at) as usize];
        file.write_all_at(&block, at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_there_and_go_away() {
        let files = Files::below(&std::env::temp_dir()).unwrap();
        files.for_mappings(3).unwrap();
        files.full(DATA, 100_000).unwrap();
        let root = files.root().to_owned();
        assert_eq!(fs::metadata(root.join(DATA)).unwrap().len(), 100_000);
        assert_eq!(fs::metadata(root.join(SPARSE)).unwrap().len(), 3 * RANGE);
        assert_eq!(fs::read_dir(root.join(SMALL)).unwrap().count(), 3);
        assert_eq!(fs::read(root.join(DATA)).unwrap()[70_000], 1);
        drop(files);
        assert!(!root.exists());
    }
}
