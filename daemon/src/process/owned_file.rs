// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file that this daemon created and will remove.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use log::warn;

/// The owner of a created file. A drop removes the file, unless another file has its name by then.
#[derive(Debug)]
#[must_use = "the file is removed when this is dropped"]
pub(super) struct OwnedFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl OwnedFile {
    /// Takes over the file that was just created at `path`.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            path: std::path::absolute(path)?,
            device: found.dev(),
            inode: found.ino(),
        })
    }

    /// Leaves the file to another process.
    pub(super) fn disown(self) {
        std::mem::forget(self);
    }
}

impl Drop for OwnedFile {
    fn drop(&mut self) {
        let removed = match fs::symlink_metadata(&self.path) {
            Ok(now) if (now.dev(), now.ino()) == (self.device, self.inode) => {
                fs::remove_file(&self.path)
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = removed
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!("can't remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::OwnedFile;

    #[test]
    fn a_dropped_file_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        drop(OwnedFile::at(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_disowned_file_and_a_file_of_another_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        OwnedFile::at(&path).unwrap().disown();
        assert!(path.exists());

        let owner = OwnedFile::at(&path).unwrap();
        let other = dir.path().join("other");
        fs::write(&other, "other").unwrap();
        fs::rename(&other, &path).unwrap();
        drop(owner);
        assert_eq!(fs::read(&path).unwrap(), b"other");
    }

    #[test]
    fn a_file_that_is_gone_already_is_no_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let owner = OwnedFile::at(&path).unwrap();
        fs::remove_file(&path).unwrap();
        drop(owner);
    }
}
