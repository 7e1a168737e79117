// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Writing, checking and hashing files; the same code on both sides.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{Access, How, open};
use crate::pattern::{self, Mismatch, Seed};
use crate::worker::{Fault, HandleTable, Op};

/// How many bytes are handled at a time.
const CHUNK: usize = 256 * 1024;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The offset in bytes.
    pub offset: u64,
    pub len: u64,
}

impl Part {
    /// The first `len` bytes.
    pub fn first(len: u64) -> Self {
        Self { offset: 0, len }
    }

    /// Calls `each` with the offset and the length of every piece of at most [`CHUNK`] bytes.
    fn pieces(self, mut each: impl FnMut(u64, usize) -> Result<bool>) -> Result<()> {
        let end = self.offset.checked_add(self.len);
        let end = end.context("the range ends past 2^64")?;
        let mut at = self.offset;
        while at < end {
            let count = (end - at).min(CHUNK as u64) as usize;
            if !each(at, count)? {
                break;
            }
            at += count as u64;
        }
        Ok(())
    }
}

/// What [`hash`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash {
    /// XXH3-64 of all bytes.
    pub value: u64,
    pub size: u64,
}

/// Writes the pattern of `seed` to `part` of a file, which is created if necessary. For a mapping
/// the file is first enlarged as needed; write(2) extends it by itself.
pub fn fill(path: &Path, part: Part, seed: Seed, how: How) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("can't create {}", path.display()))?;
    let end = part.offset.saturating_add(part.len);
    if how == How::Mmap && file.metadata()?.len() < end {
        file.set_len(end).context("can't set the file's size")?;
    }
    drop(file);
    let access = Access::open(path, how, true)?;
    let mut buffer = vec![0; CHUNK];
    part.pieces(|at, count| {
        pattern::fill(seed, at, &mut buffer[..count]);
        access.write(at, &buffer[..count])?;
        Ok(true)
    })
}

/// Compares `part` of a file with the pattern of `seed`.
pub fn verify(path: &Path, part: Part, seed: Seed, how: How) -> Result<Result<(), Mismatch>> {
    let access = Access::open(path, how, false)?;
    let mut buffer = vec![0; CHUNK];
    let mut verdict = Ok(());
    part.pieces(|at, count| {
        access.read(at, &mut buffer[..count])?;
        verdict = pattern::check(seed, at, &buffer[..count]);
        Ok(verdict.is_ok())
    })?;
    Ok(verdict)
}

/// Hashes all of a file.
pub fn hash(path: &Path, how: How) -> Result<Hash> {
    let size = open(path, false)?.metadata()?.len();
    let access = Access::open(path, how, false)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; CHUNK];
    Part::first(size).pieces(|at, count| {
        let read = access.read(at, &mut buffer[..count]);
        read.with_context(|| format!("can't hash {}", path.display()))?;
        hasher.update(&buffer[..count]);
        Ok(true)
    })?;
    let value = hasher.digest();
    Ok(Hash { value, size })
}

/// Hashes all regular files below a folder, by their paths below it. Does not follow symbolic
/// links.
///
/// # Errors
///
/// If one of them can't be read.
pub fn hash_tree(dir: &Path, how: How) -> Result<BTreeMap<String, Hash>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                let name = path.strip_prefix(dir)?.display().to_string();
                found.insert(name, hash(&path, how)?);
            }
        }
    }
    Ok(found)
}

/// Writes the pattern of a seed to a part of a file, as [`fill`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FillPart {
    pub path: PathBuf,
    pub part: Part,
    pub seed: Seed,
    pub how: How,
}

impl Op for FillPart {
    const NAME: &'static str = "fill-part";
    type Yield = ();

    fn run(self, _: &mut HandleTable) -> Result<(), Fault> {
        fill(&self.path, self.part, self.seed, self.how).map_err(fault)
    }
}

/// Compares a part of a file with the pattern of a seed. Returns the first difference in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VerifyPart {
    pub path: PathBuf,
    pub part: Part,
    pub seed: Seed,
    pub how: How,
}

impl Op for VerifyPart {
    const NAME: &'static str = "verify-part";
    type Yield = Option<String>;

    fn run(self, _: &mut HandleTable) -> Result<Option<String>, Fault> {
        let verified = verify(&self.path, self.part, self.seed, self.how).map_err(fault)?;
        Ok(verified.err().map(|mismatch| mismatch.to_string()))
    }
}

/// Hashes a file, so that host and guest can compare content that neither knows beforehand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HashFile {
    pub path: PathBuf,
    pub how: How,
}

impl Op for HashFile {
    const NAME: &'static str = "hash-file";
    type Yield = Hash;

    fn run(self, _: &mut HandleTable) -> Result<Hash, Fault> {
        hash(&self.path, self.how).map_err(fault)
    }
}

/// Hashes all files below a folder, as [`hash_tree`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HashTree {
    pub dir: PathBuf,
    pub how: How,
}

impl Op for HashTree {
    const NAME: &'static str = "hash-tree";
    type Yield = BTreeMap<String, Hash>;

    fn run(self, _: &mut HandleTable) -> Result<BTreeMap<String, Hash>, Fault> {
        hash_tree(&self.dir, self.how).map_err(fault)
    }
}

fn fault(error: anyhow::Error) -> Fault {
    Fault::new("accessing a file", format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_write_and_see_the_same_and_a_change_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let part = Part {
            offset: 4097,
            len: 3 * CHUNK as u64 + 5,
        };
        for (how, other) in [(How::Mmap, How::Syscall), (How::Syscall, How::Mmap)] {
            fill(&path, part, Seed(9), how).unwrap();
            assert_eq!(verify(&path, part, Seed(9), other).unwrap(), Ok(()));
            assert_eq!(hash(&path, how).unwrap(), hash(&path, other).unwrap());
        }
        let wrong = Part {
            offset: part.offset + CHUNK as u64,
            len: 1,
        };
        fill(&path, wrong, Seed(10), How::Syscall).unwrap();
        let mismatch = verify(&path, part, Seed(9), How::Mmap)
            .unwrap()
            .unwrap_err();
        assert_eq!(mismatch.offset, wrong.offset);
    }

    #[test]
    fn an_empty_file_has_a_hash_and_no_mapping() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fill(&path, Part::first(0), Seed(1), How::Mmap).unwrap();
        assert_eq!(hash(&path, How::Mmap).unwrap().size, 0);
    }
}
