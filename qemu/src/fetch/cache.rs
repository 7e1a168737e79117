// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The cache folder.
use super::Progress;
/// The folder that keeps what was fetched.
#[derive(Clone, Debug)]
pub struct Cache {}
/// Why the cache can't be used.
#[derive(Debug, thiserror::Error)]
#[error("todo")]
pub struct CacheError;
impl Cache {
    /// The cache of this user: $DAXLAB_CACHE, else $XDG_CACHE_HOME/daxlab, else ~/.cache/daxlab.
    pub fn open(_progress: Progress) -> Result<Self, CacheError> {
        todo!()
    }
    /// A cache in a folder of the caller's choice.
    pub fn at(_root: &std::path::Path, _progress: Progress) -> Result<Self, CacheError> {
        todo!()
    }
}
