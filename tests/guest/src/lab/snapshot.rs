// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The content of a whole folder, to show that nothing in it has changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use guest_agent::access::{self, Hash, How};

/// Hash, size, owner and mode of every file, by path.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<PathBuf, Entry>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// `None` if it is not a regular file.
    hash: Option<Hash>,
    mode: u32,
    uid: u32,
    mtime: (i64, i64),
}

impl Snapshot {
    /// Reads the whole folder `dir` by system calls.
    pub fn of(dir: &Path) -> Result<Self> {
        let mut entries = BTreeMap::new();
        collect(dir, &mut entries).with_context(|| format!("can't read {}", dir.display()))?;
        Ok(Self(entries))
    }

    /// An error that names the first difference.
    pub fn expect_same(&self, later: &Self) -> Result<()> {
        let paths: std::collections::BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        for path in paths {
            let (before, after) = (self.0.get(path), later.0.get(path));
            if before != after {
                bail!(
                    "{} has changed: {before:?} became {after:?}",
                    path.display()
                );
            }
        }
        Ok(())
    }
}

fn collect(dir: &Path, entries: &mut BTreeMap<PathBuf, Entry>) -> Result<()> {
    for found in fs::read_dir(dir)? {
        let path = found?.path();
        let metadata = fs::symlink_metadata(&path)?;
        let hash = metadata
            .is_file()
            .then(|| access::hash(&path, How::Syscall));
        let entry = Entry {
            hash: hash.transpose()?,
            mode: metadata.mode(),
            uid: metadata.uid(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
        };
        if metadata.is_dir() {
            collect(&path, entries)?;
        }
        entries.insert(path, entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_a_new_and_a_lost_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let file = dir.path().join("d/f");
        fs::write(&file, "one").unwrap();
        let before = Snapshot::of(dir.path()).unwrap();
        before
            .expect_same(&Snapshot::of(dir.path()).unwrap())
            .unwrap();
        fs::write(&file, "two").unwrap();
        let error = before
            .expect_same(&Snapshot::of(dir.path()).unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("d/f has changed"), "{error}");
        fs::remove_file(&file).unwrap();
        let later = Snapshot::of(dir.path()).unwrap();
        assert!(before.expect_same(&later).is_err() && later.expect_same(&before).is_err());
    }
}
