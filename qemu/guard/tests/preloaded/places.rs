// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the file of a play is.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A file system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// The host's disk.
    Disk,
    /// A small file system in memory: even reading a hole takes room there.
    SmallMemory,
    /// A small ext4.
    SmallDisk,
    /// A small btrfs.
    SmallBtrfs,
    /// A btrfs with room, in which a quota group may have less.
    Quota,
}

/// A folder there, which is gone when dropped.
pub(crate) struct Made {
    folder: TempDir,
    mounted: bool,
}

/// How large the small ones are.
pub(crate) const SMALL: &str = "48m";

impl Place {
    pub(crate) fn make(self) -> io::Result<Made> {
        let folder = tempfile::tempdir_in("/var/tmp")?;
        let target = folder.path().join("fs");
        std::fs::create_dir(&target)?;
        let mut made = Made {
            folder,
            mounted: false,
        };
        let mut mount = Command::new("mount");
        match self {
            Self::Disk => return Ok(made),
            Self::SmallMemory => {
                let size = format!("size={SMALL}");
                mount.args(["-t", "tmpfs", "-o", &size, "qemu-guard-test"]);
            }
            Self::SmallDisk => made.image(&mut mount, SMALL, "mkfs.ext4 -q -m 0")?,
            Self::SmallBtrfs => made.image(&mut mount, SMALL, "mkfs.btrfs -q --mixed")?,
            Self::Quota => made.image(&mut mount, "256m", "mkfs.btrfs -q")?,
        }
        run(mount.arg(&target))?;
        made.mounted = true;
        if let Self::Quota = self {
            for words in ["quota enable", "qgroup limit 24m"] {
                run(Command::new("btrfs").args(words.split(' ')).arg(&target))?;
            }
        }
        Ok(made)
    }
}

impl Made {
    /// Makes a file system in a file of this size, for `mount` to mount.
    fn image(&self, mount: &mut Command, size: &str, mkfs: &str) -> io::Result<()> {
        let image = self.folder.path().join("image");
        run(Command::new("truncate").args(["-s", size]).arg(&image))?;
        let mut words = mkfs.split(' ');
        run(Command::new(words.next().unwrap_or_default())
            .args(words)
            .arg(&image))?;
        mount.args(["-o", "loop"]).arg(&image);
        Ok(())
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("fs/file")
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.mounted {
            let target = self.folder.path().join("fs");
            // The view's last close may be under way still.
            if let Err(error) = run(Command::new("umount").arg("-l").arg(&target)) {
                eprintln!("{error}");
            }
        }
    }
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}
