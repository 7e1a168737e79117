// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Debian packages unpacked, not installed, into one tree: no maintainer script runs, and nothing
//! outside the tree is touched.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::apt::{AptError, Suite, Want};
use super::cache::CacheError;
use super::tool::{self, ToolError};

/// Why packages could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// They could not be fetched.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// A package can't be unpacked.
    #[error("unpacking {package}")]
    Unpack {
        /// The package's file name.
        package: String,
        /// dpkg-deb's error.
        #[source]
        source: ToolError,
    },
}

/// Folders that no program reads, and a large part of a small package.
const DOCUMENTATION: [&str; 7] = [
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
];

/// Downloads packages and unpacks them into `tree`; `what` names them all to the user.
pub(crate) fn unpack(
    suite: &Suite<'_>,
    what: &str,
    want: Want<'_>,
    tree: &Path,
) -> Result<(), PackagesError> {
    let archives = suite.download(what, want)?;
    extract(&archives, tree)?;
    Ok(suite.clean()?)
}

/// Unpacks package files into `tree`.
pub(crate) fn extract(archives: &[impl AsRef<Path>], tree: &Path) -> Result<(), PackagesError> {
    for archive in archives.iter().map(AsRef::as_ref) {
        let mut dpkg = tool::command("dpkg-deb");
        tool::output(dpkg.arg("--extract").arg(archive).arg(tree)).map_err(|source| {
            PackagesError::Unpack {
                package: file_name(archive),
                source,
            }
        })?;
    }
    for folder in DOCUMENTATION.map(|folder| tree.join(folder)) {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(CacheError::io("removing", &folder)(error).into());
            }
            _ => {}
        }
    }
    Ok(settle(tree)?)
}

/// Writes the files to the disk: after a power failure a manifest must not vouch for lost pages.
pub(crate) fn settle(tree: &Path) -> Result<(), CacheError> {
    let folder = fs::File::open(tree).map_err(CacheError::io("opening", tree))?;
    rustix::fs::syncfs(&folder).map_err(|error| CacheError::io("writing back", tree)(error.into()))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// The first of `candidates` (below `tree`) that exists; packages moved from / to /usr over time.
pub(crate) fn first_of<const N: usize>(tree: &Path, candidates: [&str; N]) -> Option<PathBuf> {
    candidates
        .into_iter()
        .map(|path| tree.join(path))
        .find(|path| path.exists())
}
