// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The folder of one run: sockets and logs.
//!
//! The folder is removed with its owner. If the owner is killed, the folder stays, but the lock on
//! it goes with the process, and the next run removes each folder of this kind that is not locked.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// Folders of live and of killed runs.
const PREFIX: &str = "daxlab-run-";
/// Folders that may not be locked yet.
const NEW_PREFIX: &str = ".daxlab-new-";
/// Longest path of a folder in which a socket of a name as long as ours still fits into
/// `sockaddr_un` (108 bytes with the final NUL).
const MAX_BASE: usize = 64;

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
#[error("can't make a folder for sockets and logs in {base}", base = .base.display())]
pub struct RunDirError {
    base: PathBuf,
    source: io::Error,
}

/// A private folder that is removed when this value is dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Locked for as long as the folder is in use.
    lock: Option<File>,
}

impl RunDir {
    /// Makes a folder under `$XDG_RUNTIME_DIR`, or under `/tmp` if that is not set or too long for
    /// sockets, and removes those that killed runs have left there.
    pub fn create() -> Result<Self, RunDirError> {
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let usable = |base: &PathBuf| base.is_dir() && base.as_os_str().len() <= MAX_BASE;
        let base = runtime_dir.filter(usable).unwrap_or_else(|| "/tmp".into());
        Self::create_in(&base)
    }

    /// Like [`RunDir::create`], in a folder of the caller's choice.
    pub fn create_in(base: &Path) -> Result<Self, RunDirError> {
        sweep(base);
        make(base).map_err(|source| RunDirError {
            base: base.to_owned(),
            source,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the file `name` in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Keeps the folder, under a name that no later run removes.
    ///
    /// # Errors
    /// If the folder can't be renamed; it is removed then.
    pub fn keep(mut self) -> io::Result<PathBuf> {
        let name = self.path.to_string_lossy().replace(PREFIX, "daxlab-kept-");
        std::fs::rename(&self.path, &name)?;
        self.lock = None;
        Ok(name.into())
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        if self.lock.is_some()
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            log::warn!("{}: not removed: {error}", self.path.display());
        }
    }
}

/// How often another run may remove a new folder before it is locked.
const TRIES: usize = 16;

/// Makes a folder. Makes another one if another run took the first for a killed run's.
fn make(base: &Path) -> io::Result<RunDir> {
    let mut made = make_one(base);
    for _ in 1..TRIES {
        match made {
            Err(error) if is_swept(&error) => made = make_one(base),
            made => return made,
        }
    }
    made
}

/// A folder that another run has locked, or removed.
fn is_swept(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotFound
    )
}

/// Makes and locks a folder, then gives it its name.
fn make_one(base: &Path) -> io::Result<RunDir> {
    let fresh = tempfile::Builder::new()
        .prefix(NEW_PREFIX)
        .make_in(base, |path| DirBuilder::new().mode(0o700).create(path))?;
    let fresh = fresh.into_temp_path().keep().map_err(|error| error.error)?;
    let lock = File::open(&fresh)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let name = fresh.file_name().unwrap_or_default().to_string_lossy();
    let path = base.join(name.replace(NEW_PREFIX, PREFIX));
    // Fails for a folder that was removed before it was locked.
    std::fs::rename(&fresh, &path)?;
    Ok(RunDir {
        path,
        lock: Some(lock),
    })
}

/// Removes our user's folders whose owners are gone.
fn sweep(base: &Path) {
    let Ok(entries) = base.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let ours = name.starts_with(PREFIX) || name.starts_with(NEW_PREFIX);
        if ours && let Err(error) = remove_if_abandoned(&entry.path()) {
            log::debug!("{}: left as it is: {error}", entry.path().display());
        }
    }
}

fn remove_if_abandoned(path: &Path) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let folder = File::open(path)?;
    rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
    std::fs::remove_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_owner() {
        let base = tempfile::tempdir().unwrap();
        let run = RunDir::create_in(base.path()).unwrap();
        std::fs::write(run.join("log"), "text").unwrap();
        assert_eq!(base.path().read_dir().unwrap().count(), 1);
        drop(run);
        assert_eq!(base.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn the_next_run_removes_what_a_killed_one_left() {
        let base = tempfile::tempdir().unwrap();
        let live = RunDir::create_in(base.path()).unwrap();
        let abandoned =
            [PREFIX, NEW_PREFIX].map(|prefix| base.path().join(prefix.to_owned() + "dead"));
        for folder in &abandoned {
            std::fs::create_dir(folder).unwrap();
        }
        let unrelated = base.path().join("other");
        std::fs::create_dir(&unrelated).unwrap();
        let next = RunDir::create_in(base.path()).unwrap();
        assert!(abandoned.iter().all(|folder| !folder.exists()));
        assert!(unrelated.exists() && live.path().exists() && next.path().exists());
    }

    #[test]
    fn runs_that_begin_at_once_all_get_their_folder() {
        const AT_ONCE: usize = 8;
        const RUNS: usize = 50;
        let base = tempfile::tempdir().unwrap();
        let begin = std::sync::Barrier::new(AT_ONCE);
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    begin.wait();
                    for _ in 0..RUNS {
                        let run = RunDir::create_in(base.path()).unwrap();
                        std::fs::write(run.join("log"), "text").unwrap();
                    }
                });
            }
        });
        assert_eq!(base.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_kept_folder_stays() {
        let base = tempfile::tempdir().unwrap();
        let run = RunDir::create_in(base.path()).unwrap();
        std::fs::write(run.join("log"), "text").unwrap();
        let kept = run.keep().unwrap();
        let _next = RunDir::create_in(base.path()).unwrap();
        assert_eq!(std::fs::read(kept.join("log")).unwrap(), b"text");
    }
}
