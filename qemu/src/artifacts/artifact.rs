// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! An artifact: a named tree of files in the cache that is either complete and unchanged, or
//! absent.
//!
//! An artifact is made in a scratch folder, recorded in a manifest that is written last, and
//! renamed into place in one step. To open it checks the manifest; a damaged artifact counts as
//! absent and is made again.

use std::error::Error;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::cache::{Cache, CacheError, Lock};
use super::manifest::{Manifest, Verdict};
use super::packages;

const TREE: &str = "tree";
const MANIFEST: &str = "manifest.json";

/// Returns the tree of the artifact `name` if it exists and is undamaged.
pub(crate) fn open(cache: &Cache, name: &str) -> Result<Option<PathBuf>, CacheError> {
    let home = cache.artifacts().join(name);
    let path = home.join(MANIFEST);
    let Ok(text) = fs::read(&path) else {
        return Ok(None);
    };
    let Ok(mut manifest) = serde_json::from_slice::<Manifest>(&text) else {
        cache
            .progress()
            .note(&format!("{} is damaged", path.display()));
        return Ok(None);
    };
    let tree = home.join(TREE);
    match manifest.check(&tree) {
        Verdict::Unchanged => {}
        Verdict::Touched => write(&home, &manifest)?,
        Verdict::Damaged(file) => {
            cache
                .progress()
                .note(&format!("{} is missing or damaged", file.display()));
            return Ok(None);
        }
    }
    if let Err(error) = mark_used(&path) {
        log::debug!("{} keeps its time of use: {error}", path.display());
    }
    Ok(Some(tree))
}

fn mark_used(manifest: &Path) -> io::Result<()> {
    File::options()
        .append(true)
        .open(manifest)?
        .set_modified(SystemTime::now())
}

/// Removes all but the `keep` most recently used of the artifacts whose names begin with `prefix`.
pub(crate) fn prune(
    cache: &Cache,
    lock: &Lock,
    prefix: &str,
    keep: usize,
) -> Result<(), CacheError> {
    let root = cache.artifacts();
    let mut found = Vec::new();
    for entry in fs::read_dir(&root).map_err(CacheError::io("reading", &root))? {
        let entry = entry.map_err(CacheError::io("reading", &root))?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let used = entry
                .path()
                .join(MANIFEST)
                .metadata()
                .and_then(|meta| meta.modified());
            found.push((used.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
    }
    found.sort();
    found.truncate(found.len().saturating_sub(keep));
    let scratch = cache.scratch(lock)?;
    for (number, (_, path)) in found.iter().enumerate() {
        let away = scratch.path().join(number.to_string());
        fs::rename(path, away).map_err(CacheError::io("removing", path))?;
    }
    Ok(())
}

/// Returns the tree of the artifact `name`. If there is no undamaged one, calls `make` with an
/// empty folder to fill.
///
/// `make` runs under the cache's lock and must not ask for another artifact.
pub(crate) fn obtain<E>(
    cache: &Cache,
    name: &str,
    make: impl FnOnce(&Lock, &Path) -> Result<(), E>,
) -> Result<PathBuf, E>
where
    E: From<CacheError> + Error + Send + Sync + 'static,
{
    if let Some(tree) = open(cache, name)? {
        return Ok(tree);
    }
    let lock = cache.lock()?;
    // The previous holder of the lock may have made it.
    if let Some(tree) = open(cache, name)? {
        return Ok(tree);
    }
    let scratch = cache.scratch(&lock)?;
    let home = scratch.path().join("new");
    let tree = home.join(TREE);
    fs::create_dir_all(&tree).map_err(CacheError::io("making", &tree))?;
    make(&lock, &tree).map_err(|error| cache.explained(error))?;
    let manifest = Manifest::record(&tree).map_err(CacheError::io("recording", &tree))?;
    write(&home, &manifest)?;
    Ok(install(cache, &home, &scratch.path().join("old"), name)?)
}

/// Moves files that were built into an artifact, and removes those with the prefix that it replaces.
pub(crate) fn keep(
    cache: &Cache,
    name: &str,
    files: &[(PathBuf, &str)],
    prefix: &str,
) -> Result<PathBuf, CacheError> {
    let place = obtain(cache, name, |_lock, place| {
        for (file, name) in files {
            fs::rename(file, place.join(name)).map_err(CacheError::io("keeping", file))?;
        }
        packages::settle(place)
    })?;
    prune(cache, &cache.lock()?, prefix, 1)?;
    Ok(place)
}

/// Replaces the artifact `name` by a finished one.
fn install(cache: &Cache, home: &Path, old: &Path, name: &str) -> Result<PathBuf, CacheError> {
    let place = cache.artifacts().join(name);
    fs::set_permissions(home, Permissions::from_mode(0o755))
        .map_err(CacheError::io("opening up", home))?;
    if place.exists() {
        fs::rename(&place, old).map_err(CacheError::io("moving away", &place))?;
    }
    fs::rename(home, &place).map_err(CacheError::io("moving into place", &place))?;
    Ok(place.join(TREE))
}

/// Writes the manifest of the artifact at `home`, atomically.
fn write(home: &Path, manifest: &Manifest) -> Result<(), CacheError> {
    let path = home.join(MANIFEST);
    let failed = || CacheError::io("writing", &path);
    let text = serde_json::to_vec(manifest).map_err(|error| failed()(error.into()))?;
    let file = tempfile::NamedTempFile::new_in(home).map_err(failed())?;
    fs::write(file.path(), text).map_err(failed())?;
    file.persist(&path).map_err(|error| failed()(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tempfile::TempDir;

    use super::*;
    use crate::artifacts::Progress;

    struct Fixture {
        folder: TempDir,
        made: Cell<u32>,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                folder: TempDir::new().unwrap(),
                made: Cell::new(0),
            }
        }

        fn cache(&self) -> Cache {
            Cache::at(self.folder.path(), Progress::silent()).unwrap()
        }

        fn obtain(&self) -> PathBuf {
            let make = |_: &Lock, tree: &Path| {
                self.made.set(self.made.get() + 1);
                fs::write(tree.join("file"), "contents").map_err(CacheError::io("writing", tree))
            };
            obtain(&self.cache(), "thing", make).unwrap()
        }
    }

    #[test]
    fn the_second_use_makes_nothing() {
        let fixture = Fixture::new();
        assert_eq!(
            fs::read(fixture.obtain().join("file")).unwrap(),
            b"contents"
        );
        fixture.obtain();
        assert_eq!(fixture.made.get(), 1);
    }

    #[test]
    fn a_damaged_artifact_is_made_again() {
        let fixture = Fixture::new();
        fs::write(fixture.obtain().join("file"), "contentz").unwrap();
        assert_eq!(
            fs::read(fixture.obtain().join("file")).unwrap(),
            b"contents"
        );
        assert_eq!(fixture.made.get(), 2);
        assert_eq!(
            fs::read_dir(fixture.folder.path().join("tmp"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn a_damaged_manifest_is_made_again() {
        let fixture = Fixture::new();
        let manifest = fixture.obtain().with_file_name(MANIFEST);
        fs::write(manifest, "{").unwrap();
        fixture.obtain();
        assert_eq!(fixture.made.get(), 2);
    }

    #[test]
    fn the_least_recently_used_go_first() {
        let folder = TempDir::new().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        let make = |_: &Lock, _: &Path| Ok::<(), CacheError>(());
        for name in ["x-1", "x-2", "x-3", "y-1"] {
            obtain(&cache, name, make).unwrap();
        }
        open(&cache, "x-1").unwrap().unwrap();
        prune(&cache, &cache.lock().unwrap(), "x-", 2).unwrap();
        let there = ["x-1", "x-2", "x-3", "y-1"].map(|name| open(&cache, name).unwrap().is_some());
        assert_eq!(there, [true, false, true, true]);
    }

    #[test]
    fn a_failed_making_leaves_nothing() {
        let fixture = Fixture::new();
        let fail = |_: &Lock, tree: &Path| {
            fs::write(tree.join("half"), "half").unwrap();
            Err(CacheError::NoHome)
        };
        assert!(obtain(&fixture.cache(), "thing", fail).is_err());
        assert!(open(&fixture.cache(), "thing").unwrap().is_none());
        for folder in ["tmp", "artifacts"] {
            let left = fs::read_dir(fixture.folder.path().join(folder))
                .unwrap()
                .count();
            assert_eq!(left, 0, "{folder} is not empty");
        }
    }
}
