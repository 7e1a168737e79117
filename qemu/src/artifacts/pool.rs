// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Files of a Debian archive by their path in its pool, pinned by digest.
//!
//! An index names only the newest version, and a mirror may have the sources of another one. A
//! pinned file needs no index: the digest shows that it is the right file, from any server.

use std::path::Path;

use super::cache::{Cache, CacheError};
use super::mirror::{self, Mirror, MirrorError};
use super::tool::{self, ToolError};

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No mirror is known.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// No mirror has it.
    #[error(
        "no mirror has {place} as it was: set DAXLAB_MIRROR to the URL of a Debian archive that \
         has, such as a snapshot's"
    )]
    Nowhere {
        /// Where it should be below the archive's URL.
        place: &'static str,
        /// apt's error for the last mirror.
        #[source]
        source: ToolError,
    },
}

/// apt's own downloader: it uses the machine's settings, such as proxies.
const DOWNLOADER: &str = "/usr/lib/apt/apt-helper";

/// A file of the archive.
#[derive(Debug)]
pub(crate) struct PoolFile {
    /// What it is, for the user.
    pub(crate) what: &'static str,
    /// Where it is below the archive's URL.
    pub(crate) place: &'static str,
    pub(crate) bytes: u64,
    pub(crate) sha256: &'static str,
}

impl PoolFile {
    /// Downloads it to `path`.
    pub(crate) fn fetch(&self, cache: &Cache, path: &Path) -> Result<(), PoolError> {
        let folder = path.parent().unwrap_or(path);
        let nothing = tempfile::tempdir_in(folder).map_err(CacheError::io("filling", folder))?;
        let shown = cache.progress().download(self.what, self.bytes);
        let mut failed = None;
        for mirror in mirror::candidates(nothing.path())? {
            match self.fetch_from(&mirror, path) {
                Ok(()) => {
                    shown.done();
                    return Ok(());
                }
                Err(error) => failed = Some(error),
            }
        }
        let source = failed.expect("there is a mirror, or an error before");
        Err(PoolError::Nowhere {
            place: self.place,
            source,
        })
    }

    fn fetch_from(&self, mirror: &Mirror, path: &Path) -> Result<(), ToolError> {
        let url = format!("{}/{}", mirror.0.trim_end_matches('/'), self.place);
        let mut helper = tool::command(DOWNLOADER);
        helper.arg("download-file").arg(url).arg(path);
        tool::output(helper.arg(format!("SHA256:{}", self.sha256))).map(drop)
    }
}
