// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The contents of a tree of files: each file's SHA-256 and each link's target.
//!
//! A check must be quick, since it runs at each use, and must notice every change. A file whose
//! size and ctime are as recorded counts as unchanged: only the kernel sets a ctime, and every
//! write, truncate, chmod and rename of the file changes it. All other files are digested again. So
//! a cache that was copied or restored is accepted if, and only if, its bytes are right.
//!
//! Non-goal: files that were added to the tree.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The contents of a tree, in the order of their paths.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Content {
    File(Stamp, String),
    Link(PathBuf),
}

/// Size and ctime, which show cheaply that a file is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    size: u64,
    ctime: i64,
    ctime_nsec: i64,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was touched.
    Unchanged,
    /// The contents are right, but files were touched; the manifest has their new stamps.
    Touched,
    /// This file or link is missing or changed.
    Damaged(PathBuf),
}

impl Manifest {
    /// Records the tree at `root`. Clears set-user-id bits, which no file in a cache needs.
    pub(crate) fn record(root: &Path) -> io::Result<Self> {
        let mut entries = Vec::new();
        collect(root, Path::new(""), &mut entries)?;
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { entries })
    }

    /// Compares the tree at `root` with the manifest.
    pub(crate) fn check(&mut self, root: &Path) -> Verdict {
        let mut verdict = Verdict::Unchanged;
        for entry in &mut self.entries {
            let path = root.join(&entry.path);
            match entry.content.check(&path) {
                Ok(Some(true)) => {}
                Ok(Some(false)) => verdict = Verdict::Touched,
                Ok(None) | Err(_) => return Verdict::Damaged(path),
            }
        }
        verdict
    }
}

impl Content {
    /// Whether the file is untouched, or `None` if its content differs.
    fn check(&mut self, path: &Path) -> io::Result<Option<bool>> {
        match self {
            Self::Link(target) => Ok((fs::read_link(path)? == *target).then_some(true)),
            Self::File(stamp, digest) => {
                let now = Stamp::of(&path.symlink_metadata()?);
                if now == *stamp {
                    return Ok(Some(true));
                }
                if now.size != stamp.size || sha256(path)? != *digest {
                    return Ok(None);
                }
                *stamp = now;
                Ok(Some(false))
            }
        }
    }
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self {
            size: meta.size(),
            ctime: meta.ctime(),
            ctime_nsec: meta.ctime_nsec(),
        }
    }
}

fn collect(root: &Path, below: &Path, entries: &mut Vec<Entry>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let meta = entry.metadata()?;
        if meta.is_dir() {
            collect(root, &path, entries)?;
        } else if meta.is_symlink() {
            entries.push(Entry {
                content: Content::Link(fs::read_link(entry.path())?),
                path,
            });
        } else if meta.is_file() {
            let content = file(&entry.path(), &meta)?;
            entries.push(Entry { content, path });
        }
    }
    Ok(())
}

fn file(path: &Path, meta: &fs::Metadata) -> io::Result<Content> {
    let mode = meta.mode();
    if mode & 0o6000 != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode & 0o1777))?;
    }
    let digest = sha256(path)?;
    Ok(Content::File(Stamp::of(&path.symlink_metadata()?), digest))
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn tree() -> (TempDir, Manifest) {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("sub/file"), "contents").unwrap();
        symlink("file", root.path().join("sub/link")).unwrap();
        let manifest = Manifest::record(root.path()).unwrap();
        (root, manifest)
    }

    #[test]
    fn an_untouched_tree_is_unchanged() {
        let (root, mut manifest) = tree();
        assert_eq!(manifest.check(root.path()), Verdict::Unchanged);
    }

    #[test]
    fn a_changed_byte_is_damage_even_with_the_old_size_and_mtime() {
        let (root, mut manifest) = tree();
        let path = root.path().join("sub/file");
        let mtime = path.metadata().unwrap().modified().unwrap();
        fs::write(&path, "Contents").unwrap();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(mtime)
            .unwrap();
        assert_eq!(manifest.check(root.path()), Verdict::Damaged(path));
    }

    #[test]
    fn a_missing_file_and_a_turned_link_are_damage() {
        let (root, mut manifest) = tree();
        let link = root.path().join("sub/link");
        fs::remove_file(&link).unwrap();
        symlink("/elsewhere", &link).unwrap();
        assert_eq!(manifest.check(root.path()), Verdict::Damaged(link));
        let file = root.path().join("sub/file");
        fs::remove_file(&file).unwrap();
        assert_eq!(manifest.check(root.path()), Verdict::Damaged(file));
    }

    #[test]
    fn a_rewrite_of_the_same_bytes_is_accepted_and_remembered() {
        let (root, mut manifest) = tree();
        fs::write(root.path().join("sub/file"), "contents").unwrap();
        assert_eq!(manifest.check(root.path()), Verdict::Touched);
        assert_eq!(manifest.check(root.path()), Verdict::Unchanged);
    }

    #[test]
    fn set_user_id_is_taken_off() {
        let root = TempDir::new().unwrap();
        let path = root.path().join("program");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o4755)).unwrap();
        Manifest::record(root.path()).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o755);
    }
}
