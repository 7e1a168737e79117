// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One package file that apt downloads, and its digest from the signed index.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::AptError;
use crate::artifacts::cache::CacheError;
use crate::artifacts::manifest::sha256;

/// A package file, as `apt-get --print-uris` announces it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Archive {
    name: String,
    pub(super) size: u64,
    sha256: String,
}

impl Archive {
    /// Reads a line such as `'URL' FILE SIZE SHA256:DIGEST`; other lines are not about files.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.strip_prefix('\'')?.split_once('\'')?;
        let mut words = rest.split_whitespace();
        let name = words.next().filter(|name| !name.contains('/'))?.to_owned();
        let size = words.next()?.parse().ok()?;
        let sha256 = words.next()?.strip_prefix("SHA256:")?.to_owned();
        Some(Self { name, size, sha256 })
    }

    /// The file's path, whether it exists yet or not.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }

    /// Removes the file from `folder` unless it matches the index. For a file of an interrupted run
    /// apt itself checks the size only.
    pub(super) fn remove_if_damaged(&self, folder: &Path) -> Result<(), AptError> {
        let path = self.path(folder);
        if path.exists() && self.verify(folder).is_err() {
            log::info!(
                "removing {}, which is not what the index says",
                path.display()
            );
            fs::remove_file(&path).map_err(CacheError::io("removing", &path))?;
        }
        Ok(())
    }

    /// Compares the file in `folder` with the index.
    pub(super) fn verify(&self, folder: &Path) -> Result<PathBuf, AptError> {
        let path = self.path(folder);
        match sha256(&path) {
            Ok(digest) if digest == self.sha256 => Ok(path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CacheError::io("reading", &path)(error).into())
            }
            _ => Err(AptError::Digest {
                file: path,
                sha256: self.sha256.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn what_apt_announces_is_read() {
        let line = "'http://m/pool/q_1%3a2_amd64.deb' q_1%3a2_amd64.deb 4711 SHA256:0123";
        let expected = Archive {
            name: "q_1%3a2_amd64.deb".to_owned(),
            size: 4711,
            sha256: "0123".to_owned(),
        };
        assert_eq!(Archive::parse(line), Some(expected));
        for other in [
            "'http://m/x' ../../etc/passwd 1 SHA256:0",
            "'u' f 1 MD5Sum:0",
            "Reading lists...",
        ] {
            assert_eq!(Archive::parse(other), None);
        }
    }

    #[test]
    fn only_what_the_index_names_is_kept() {
        let folder = TempDir::new().unwrap();
        let archive = Archive::parse(&format!("'u' a.deb 5 SHA256:{HELLO}")).unwrap();
        let path = archive.path(folder.path());
        assert!(matches!(
            archive.verify(folder.path()),
            Err(AptError::Digest { .. })
        ));

        fs::write(&path, "hello").unwrap();
        archive.remove_if_damaged(folder.path()).unwrap();
        assert_eq!(archive.verify(folder.path()).unwrap(), path);

        fs::write(&path, "hullo").unwrap();
        assert!(matches!(
            archive.verify(folder.path()),
            Err(AptError::Digest { .. })
        ));
        archive.remove_if_damaged(folder.path()).unwrap();
        assert!(!path.exists());
    }
}
