// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file system that is mounted on the host for one test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A mount that is removed on drop.
pub struct Mounted {
    target: PathBuf,
    _folder: TempDir,
}

impl Mounted {
    /// The root of the file system.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The same folder once more.
    pub fn bind(folder: &Path) -> Result<Self> {
        Self::new(|_| Ok(vec!["--bind".into(), text(folder)]))
    }

    /// Makes a folder, and calls `mount` with these arguments and the folder as the last one.
    fn new(arguments: impl FnOnce(&Path) -> Result<Vec<String>>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("guest-tests-")
            .tempdir_in("/var/tmp")?;
        let target = folder.path().join("mounted");
        fs::create_dir(&target)?;
        let arguments = arguments(folder.path())?;
        run(Command::new("mount").args(arguments).arg(&target))?;
        Ok(Self {
            target,
            _folder: folder,
        })
    }

    /// A tmpfs of 24 MiB.
    pub fn tmpfs() -> Result<Self> {
        let words = ["-t", "tmpfs", "-o", "size=24m", "guest-tests"];
        Self::new(|_| Ok(words.map(str::to_owned).into()))
    }

    /// An ext4 of 32 MiB.
    pub fn ext4() -> Result<Self> {
        Self::new(|folder| {
            let image = folder.join("image");
            File::create(&image)?.set_len(32 * MIB)?;
            run(Command::new("mkfs.ext4")
                .args(["-q", "-m", "0"])
                .arg(&image))?;
            Ok(vec!["-o".into(), "loop".into(), text(&image)])
        })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.target)) {
            log::warn!("{error:#}");
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Runs a command, which has to succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}
