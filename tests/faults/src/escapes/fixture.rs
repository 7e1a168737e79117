// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host's files: the share, and the files beside it, which must not change.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{MountFlags, mount_remount};
use tempfile::TempDir;

use crate::host::Mounted;

/// Bytes that no guest may ever read.
pub const SECRET: &[u8] = b"what is beside the share is not the guest's";
/// The content of the shared files.
pub const SHARED: &[u8] = b"what is in the share";

/// A folder with a share in it.
#[derive(Debug)]
pub struct Fixture {
    // Dropped first: the folder has the mount points.
    mounts: Vec<Mounted>,
    folder: TempDir,
}

/// The state of all that is not shared, at one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Outside(BTreeMap<PathBuf, String>);

impl Fixture {
    /// Makes all files and mounts.
    pub fn lay() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut fixture = Self {
            folder,
            mounts: Vec::new(),
        };
        fixture.outside()?;
        fixture.files()?;
        fixture.links()?;
        fixture.special_files()?;
        fixture.mounts()?;
        Ok(fixture)
    }

    /// The folder that contains everything.
    pub fn base(&self) -> &Path {
        self.folder.path()
    }

    /// The shared folder.
    pub fn share(&self) -> PathBuf {
        self.base().join("share")
    }

    /// The file beside the share.
    pub fn secret(&self) -> PathBuf {
        self.base().join("secret")
    }

    fn outside(&self) -> Result<()> {
        let base = self.base();
        fs::write(self.secret(), SECRET)?;
        fs::create_dir_all(base.join("outside/empty"))?;
        fs::write(base.join("outside/file"), SECRET)?;
        fs::create_dir(base.join("locked"))?;
        Ok(fs::write(base.join("locked/file"), SHARED)?)
    }

    fn files(&self) -> Result<()> {
        let share = self.share();
        fs::create_dir_all(share.join("dir/inner/deep"))?;
        for file in ["file", "other", "read-only", "dir/file", "dir/inner/file"] {
            fs::write(share.join(file), SHARED)?;
        }
        let read_only = fs::Permissions::from_mode(0o444);
        Ok(fs::set_permissions(share.join("read-only"), read_only)?)
    }

    fn links(&self) -> Result<()> {
        let (share, base) = (self.share(), self.base());
        let magic = Path::new("/proc/self/root").join(base.strip_prefix("/")?);
        symlink("../secret", share.join("up"))?;
        symlink(self.secret(), share.join("absolute"))?;
        symlink("..", share.join("up-dir"))?;
        symlink("../made", share.join("dangling"))?;
        symlink(magic.join("secret"), share.join("magic"))?;
        Ok(symlink("/proc/self/root", share.join("magic-dir"))?)
    }

    fn special_files(&self) -> Result<()> {
        let share = self.share();
        let null = makedev(1, 3);
        for (name, kind, device) in [
            ("fifo", FileType::Fifo, 0),
            ("char", FileType::CharacterDevice, null),
            ("block", FileType::BlockDevice, makedev(7, 0)),
        ] {
            let mode = Mode::from_raw_mode(0o666);
            mknodat(CWD, share.join(name), kind, mode, device)
                .with_context(|| format!("making {name}"))?;
        }
        UnixListener::bind(share.join("socket"))?;
        Ok(())
    }

    /// Makes a mount that is read-only, and a procfs: an operator may have such mounts in a share.
    fn mounts(&mut self) -> Result<()> {
        let share = self.share();
        let (locked, proc) = (share.join("locked"), share.join("proc"));
        fs::create_dir(&locked)?;
        fs::create_dir(&proc)?;
        let mounted = Mounted::bind(&self.base().join("locked"), locked.clone())?;
        self.mounts.push(mounted);
        mount_remount(&locked, MountFlags::BIND | MountFlags::RDONLY, "")?;
        self.mounts.push(Mounted::new("proc", proc, "")?);
        Ok(())
    }

    /// The current state of all that is outside the share.
    pub fn look(&self) -> Result<Outside> {
        let mut found = BTreeMap::new();
        let base = self.base();
        describe(base, base, &mut found)?;
        Ok(Outside(found))
    }

    /// The path outside the share with this inode number, if there is one.
    pub fn outside_by_inode(&self, ino: u64) -> Result<Option<PathBuf>> {
        let base = self.base();
        let mut paths = vec![base.to_owned(), Path::new("/").to_owned()];
        paths.extend(self.look()?.0.into_keys());
        paths.retain(|path| *path != self.share() && !path.starts_with(base.join("locked")));
        let device = fs::metadata(base)?.dev();
        for path in paths {
            let meta = fs::symlink_metadata(&path)?;
            // FUSE reports no device, so only inodes of the share's own device are compared.
            if (meta.dev(), meta.ino()) == (device, ino) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

impl Outside {
    /// The differences between `self` and `now`, if there are any.
    pub fn changed_to(&self, now: &Self) -> Option<String> {
        let mut paths: Vec<_> = self.0.keys().chain(now.0.keys()).collect();
        paths.dedup();
        let differs = paths
            .into_iter()
            .find(|path| self.0.get(*path) != now.0.get(*path))?;
        let of = |side: &Self| side.0.get(differs).cloned().unwrap_or("nothing".to_owned());
        Some(format!(
            "{} was {}, is {}",
            differs.display(),
            of(self),
            of(now)
        ))
    }
}

/// Describes all that is at or below `folder` and not in the share.
fn describe(base: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        if path == base.join("share") {
            continue;
        }
        let content = if meta.is_file() {
            String::from_utf8_lossy(&fs::read(&path)?).into_owned()
        } else {
            String::new()
        };
        let (mode, owner) = (meta.mode(), meta.uid());
        found.insert(path.clone(), format!("{mode:o} of {owner}, {content:?}"));
        if meta.is_dir() {
            describe(base, &path, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_outside_is_noticed() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: mounts need root");
            return;
        }
        let fixture = Fixture::lay().expect("a fixture");
        let before = fixture.look().expect("it can be read");
        let changed = || before.changed_to(&fixture.look().expect("it can be read"));
        fs::write(fixture.share().join("new"), "").expect("a file");
        assert_eq!(changed(), None);
        fs::write(fixture.base().join("made"), "").expect("a file");
        assert!(changed().is_some_and(|what| what.contains("made")));
        fs::remove_file(fixture.base().join("made")).expect("it is there");
        assert_eq!(changed(), None);
        fs::write(fixture.secret(), "other").expect("a file");
        assert!(changed().is_some_and(|what| what.contains("secret")));
        let ino = fs::metadata(fixture.secret()).expect("it is there").ino();
        assert!(
            fixture
                .outside_by_inode(ino)
                .expect("it can be read")
                .is_some()
        );
        let ino = fs::metadata(fixture.share()).expect("it is there").ino();
        assert!(
            fixture
                .outside_by_inode(ino)
                .expect("it can be read")
                .is_none()
        );
    }
}
