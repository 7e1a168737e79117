// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The cache folder: its place, its lock, and the removal of what an interrupted run left.
//!
//! ```text
//! ROOT/lock                 held (flock) by the process that fills or repairs the cache
//! ROOT/artifacts/NAME/      whole artifacts only: they are renamed into place
//! ROOT/apt/SUITE/           apt's own state; apt resumes and verifies what is in there
//! ROOT/tmp/                 work in progress; emptied by the next run that gets the lock
//! ROOT/build/               the workbench for what takes minutes, under a lock of its own, so that
//!                           others can fill the cache meanwhile; emptied likewise
//! ```
//!
//! Non-goals: sharing one cache between users, and deciding when a good artifact is too old
//! (delete its folder, or the whole cache, to have it fetched anew).

mod bench;

use std::env;
use std::error::Error;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock, statvfs};
use tempfile::TempDir;

pub(crate) use bench::Bench;

use super::Progress;

/// Why the cache can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum CacheError {
    /// No variable says where the cache could be.
    #[error(
        "no place for the cache: set DAXLAB_CACHE to a folder (neither XDG_CACHE_HOME nor HOME is set)"
    )]
    NoHome,
    /// The cache's folder can't be made or written to.
    #[error("the cache folder {} can't be used; set DAXLAB_CACHE to another", root.display())]
    Unusable {
        root: PathBuf,
        #[source]
        source: Box<CacheError>,
    },
    /// An operation failed, and the disk is full.
    #[error(
        "the disk of the cache folder {} is full; free 1 GiB there, or set DAXLAB_CACHE to another",
        root.display()
    )]
    Full {
        root: PathBuf,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file or folder of the cache can't be made, read or changed.
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl CacheError {
    /// For `map_err`: the error of doing `action` with `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// With less free space than this, most failures are caused by the full disk.
const FULL: u64 = 4 << 20;

/// The folder of fetched and built files; cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache {
    root: Arc<Path>,
    progress: Progress,
}

/// The right to change the cache. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The lock file of the process that fills the cache.
const LOCK: &str = "lock";

impl Cache {
    /// This user's cache: $DAXLAB_CACHE, else $XDG_CACHE_HOME/daxlab, else ~/.cache/daxlab.
    pub fn open(progress: Progress) -> Result<Self, CacheError> {
        let root = location(|name| env::var_os(name).filter(|value| !value.is_empty()))?;
        Self::at(&root, progress)
    }

    /// A cache in a folder of the caller's choice, created if it doesn't exist.
    pub fn at(root: &Path, progress: Progress) -> Result<Self, CacheError> {
        let root = std::path::absolute(root).map_err(CacheError::io("finding", root))?;
        Self::prepared(&root, progress).map_err(|source| CacheError::Unusable {
            root,
            source: source.into(),
        })
    }

    fn prepared(root: &Path, progress: Progress) -> Result<Self, CacheError> {
        // Programs are run from here, so no other user may add any.
        let make = DirBuilder::new().recursive(true).mode(0o755).create(root);
        make.map_err(CacheError::io("making", root))?;
        let cache = Self {
            root: root.into(),
            progress,
        };
        for folder in [
            cache.artifacts(),
            cache.apt(),
            cache.scratch_root(),
            cache.bench_root(),
        ] {
            fs::create_dir_all(&folder).map_err(CacheError::io("making", &folder))?;
        }
        cache.sweep()?;
        Ok(cache)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where progress is shown.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(crate) fn apt(&self) -> PathBuf {
        self.root.join("apt")
    }

    fn scratch_root(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Returns `error`, or the error of a full disk, which each tool reports in its own way. To be
    /// called while the unfinished files still take their space.
    pub(crate) fn explained<E>(&self, error: E) -> E
    where
        E: From<CacheError> + Error + Send + Sync + 'static,
    {
        if !self.is_full() {
            return error;
        }
        let full = CacheError::Full {
            root: self.root().to_owned(),
            source: error.into(),
        };
        full.into()
    }

    /// True if less than 4 MiB is free. A failing statvfs counts as not full, so that the original
    /// error is reported.
    fn is_full(&self) -> bool {
        let left = statvfs(self.root()).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        left.is_ok_and(|left| left < FULL)
    }

    /// A folder for work in progress, on the same file system as the artifacts. The caller needs
    /// the lock, so that [`Cache::sweep`] of another run does not take the folder for a leftover.
    pub(crate) fn scratch(&self, _lock: &Lock) -> Result<TempDir, CacheError> {
        let root = self.scratch_root();
        TempDir::new_in(&root).map_err(CacheError::io("making a folder in", &root))
    }

    /// Waits for the right to change the cache, and reports which process holds it.
    pub(crate) fn lock(&self) -> Result<Lock, CacheError> {
        self.acquire(LOCK, "is filling the cache")
    }

    fn acquire(&self, name: &str, doing: &str) -> Result<Lock, CacheError> {
        if let Some(lock) = self.try_acquire(name)? {
            return Ok(lock);
        }
        let (mut file, path) = self.lock_file(name)?;
        let mut holder = String::new();
        file.read_to_string(&mut holder)
            .map_err(CacheError::io("reading", &path))?;
        let holder = if holder.is_empty() {
            "another process"
        } else {
            holder.trim()
        };
        self.progress.note(&format!(
            "waiting for {holder}, which {doing} and holds {}",
            path.display()
        ));
        retry(|| flock(&file, FlockOperation::LockExclusive))
            .map_err(CacheError::io("locking", &path))?;
        sign(&mut file).map_err(CacheError::io("writing", &path))?;
        Ok(Lock { _file: file })
    }

    fn try_acquire(&self, name: &str) -> Result<Option<Lock>, CacheError> {
        let (mut file, path) = self.lock_file(name)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                sign(&mut file).map_err(CacheError::io("writing", &path))?;
                Ok(Some(Lock { _file: file }))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(CacheError::io("locking", &path)(error.into())),
        }
    }

    fn lock_file(&self, name: &str) -> Result<(File, PathBuf), CacheError> {
        let path = self.root.join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        Ok((file.map_err(CacheError::io("opening", &path))?, path))
    }

    /// Removes what interrupted runs left, unless another process is at work now.
    fn sweep(&self) -> Result<(), CacheError> {
        self.sweep_bench()?;
        let Some(_lock) = self.try_acquire(LOCK)? else {
            return Ok(());
        };
        let root = self.scratch_root();
        for entry in fs::read_dir(&root).map_err(CacheError::io("reading", &root))? {
            let path = entry.map_err(CacheError::io("reading", &root))?.path();
            log::info!("removing {}, left by an interrupted run", path.display());
            clear(&path)?;
        }
        Ok(())
    }
}

/// Removes a file or a folder, if it exists.
fn clear(path: &Path) -> Result<(), CacheError> {
    let is_folder = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let removed = if is_folder {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CacheError::io("removing", path)(error))
        }
        _ => Ok(()),
    }
}

fn location(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<PathBuf, CacheError> {
    if let Some(cache) = variable("DAXLAB_CACHE") {
        return Ok(cache.into());
    }
    let base = match variable("XDG_CACHE_HOME") {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(variable("HOME").ok_or(CacheError::NoHome)?).join(".cache"),
    };
    Ok(base.join("daxlab"))
}

/// Writes the holder's name into the lock file, for the message of a waiting process.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("process {}\n", std::process::id()).as_bytes())
}

fn retry(mut call: impl FnMut() -> rustix::io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            done => return done.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    fn place(set: &[(&str, &str)]) -> Option<String> {
        let find = |name: &str| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        location(find).ok().map(|path| path.display().to_string())
    }

    #[test]
    fn the_most_specific_variable_wins() {
        let all = [
            ("DAXLAB_CACHE", "/a"),
            ("XDG_CACHE_HOME", "/b"),
            ("HOME", "/c"),
        ];
        assert_eq!(place(&all).as_deref(), Some("/a"));
        assert_eq!(place(&all[1..]).as_deref(), Some("/b/daxlab"));
        assert_eq!(place(&all[2..]).as_deref(), Some("/c/.cache/daxlab"));
        assert_eq!(place(&[]), None);
    }

    #[test]
    fn a_place_that_can_not_be_used_is_answered_with_the_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Cache::at(&file.path().join("cache"), Progress::silent()).unwrap_err();
        assert!(error.to_string().contains("DAXLAB_CACHE"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.starts_with("making "), "{cause}");
    }

    #[test]
    fn a_full_disk_is_told_with_what_failed_and_only_then() {
        let folder = TempDir::new().unwrap();
        // Nothing fits into procfs.
        for (root, told) in [(folder.path(), "no place"), (Path::new("/proc"), "is full")] {
            let cache = Cache {
                root: root.into(),
                progress: Progress::silent(),
            };
            let error = cache.explained(CacheError::NoHome);
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn leftovers_go_but_not_during_another_build() {
        let folder = TempDir::new().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        let leftover = folder.path().join("tmp/half/file");
        fs::create_dir_all(leftover.parent().unwrap()).unwrap();
        fs::write(&leftover, "half").unwrap();

        let lock = cache.lock().unwrap();
        Cache::at(folder.path(), Progress::silent()).unwrap();
        assert!(leftover.exists(), "swept under a lock");
        drop(lock);
        open_until_swept(folder.path(), leftover.parent().unwrap());
    }

    /// Opens the cache, which sweeps, until `path` is gone. A child that another test is just
    /// starting shares a released lock until its exec.
    pub(super) fn open_until_swept(root: &Path, path: &Path) {
        const DEADLINE: Duration = Duration::from_secs(60);
        // There is no event for a free lock.
        const LOOK_AGAIN: Duration = Duration::from_millis(5);
        let deadline = Instant::now() + DEADLINE;
        loop {
            Cache::at(root, Progress::silent()).unwrap();
            if !path.exists() {
                return;
            }
            let path = path.display();
            assert!(
                Instant::now() < deadline,
                "{path} not swept in {DEADLINE:?}"
            );
            thread::sleep(LOOK_AGAIN);
        }
    }

    #[test]
    fn the_lock_excludes_and_is_handed_on() {
        let folder = TempDir::new().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        let lock = cache.lock().unwrap();
        assert!(cache.try_acquire(LOCK).unwrap().is_none());
        let (got, when) = mpsc::channel();
        let other = cache.clone();
        let (begins, begun) = mpsc::channel();
        let waiter = thread::spawn(move || {
            begins.send(()).unwrap();
            got.send(other.lock().map(drop).is_ok())
        });
        begun.recv().unwrap();
        let had = when.recv_timeout(Duration::from_millis(50));
        assert!(had.is_err(), "the lock was had twice");
        drop(lock);
        assert!(when.recv().unwrap());
        waiter.join().unwrap().unwrap();
    }
}
