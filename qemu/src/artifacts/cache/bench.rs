// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The cache's workbench: a folder that is always at the same path, for one builder at a time.
//!
//! A build there takes minutes, so the bench has its own lock, and others can fill the cache
//! meanwhile. The lock order is bench, then cache: the holder of the cache's lock must not ask for
//! the bench.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{Cache, CacheError, Lock, clear};

/// The lock file of the process that builds.
const LOCK: &str = "build/lock";
/// The folder in which the build runs.
const BENCH: &str = "bench";

/// The empty workbench. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Bench {
    folder: TempDir,
    // Dropped after the folder is gone.
    _lock: Lock,
}

impl Bench {
    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Cache {
    /// Waits for the workbench, and reports which process has it. Removes what an interrupted run
    /// left there.
    pub(crate) fn bench(&self) -> Result<Bench, CacheError> {
        let lock = self.acquire(LOCK, "is building")?;
        let root = self.bench_root();
        clear(&root.join(BENCH))?;
        let made = tempfile::Builder::new()
            .prefix(BENCH)
            .rand_bytes(0)
            .tempdir_in(&root);
        Ok(Bench {
            folder: made.map_err(CacheError::io("making a folder in", &root))?,
            _lock: lock,
        })
    }

    /// Where the bench is.
    pub(super) fn bench_root(&self) -> PathBuf {
        self.root.join("build")
    }

    /// Removes what an interrupted build left, unless another build is running.
    pub(super) fn sweep_bench(&self) -> Result<(), CacheError> {
        match self.try_acquire(LOCK)? {
            Some(_lock) => clear(&self.bench_root().join(BENCH)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::tests::open_until_swept;
    use super::*;
    use crate::artifacts::Progress;

    #[test]
    fn it_is_empty_at_the_same_place_each_time_and_blocks_no_other_process() {
        let folder = TempDir::new().unwrap();
        let open = || Cache::at(folder.path(), Progress::silent()).unwrap();
        let (cache, file) = (open(), folder.path().join("build/bench/file"));
        for _ in 0..2 {
            let bench = cache.bench().unwrap();
            assert_eq!(bench.path(), file.parent().unwrap());
            fs::write(&file, "half").unwrap();
            cache.lock().unwrap();
            open();
            assert!(file.exists(), "swept under a builder");
        }
        assert!(!file.exists());
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, "left").unwrap();
        open_until_swept(folder.path(), &file);
    }
}
