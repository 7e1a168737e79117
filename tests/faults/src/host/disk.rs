// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A disk whose blocks can't be read or written, and a real file system on it.
//!
//! ```text
//!   share = ext4 ── loop device, direct I/O ── image on a Layer, whose READs and WRITEs fail
//! ```
//!
//! Device-mapper's `error` and `flakey` targets would do the same, where the kernel has them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Behaviour, Layer, Operation};

/// Bytes of the disk.
const SIZE: u64 = 64 << 20;

/// A mounted disk with ext4. Its drop removes it.
#[derive(Debug)]
pub struct Disk {
    layer: Layer,
    device: PathBuf,
    mounted: bool,
}

impl Disk {
    /// Makes a disk without failures.
    ///
    /// # Errors
    /// If there is no loop device, or no mkfs.ext4 (Debian: e2fsprogs).
    pub fn mount() -> Result<Self> {
        let layer = Layer::mount()?;
        let image = layer.share().join("image");
        File::create(&image)?.set_len(SIZE)?;
        let direct = ["--find", "--show", "--direct-io=on"];
        let found = run(Command::new("losetup").args(direct).arg(&image))?;
        let device = String::from_utf8(found.stdout)?.trim_end().into();
        let mut disk = Self {
            layer,
            device,
            mounted: false,
        };
        // A journal that can't be written would end all writing.
        let options = ["-q", "-O", "^has_journal"];
        run(Command::new("mkfs.ext4").args(options).arg(&disk.device))?;
        let share = disk.share();
        std::fs::create_dir(&share)?;
        mount(&disk.device, &share, "ext4", MountFlags::empty(), None).context("mount ext4")?;
        disk.mounted = true;
        Ok(disk)
    }

    /// The mount point.
    pub fn share(&self) -> PathBuf {
        self.layer.folder().join("ext4")
    }

    /// The folder that holds the disk's files.
    pub fn folder(&self) -> &Path {
        self.layer.folder()
    }

    /// Makes each read of a block fail from now on.
    pub fn fail_reads(&self) {
        self.layer.set(Operation::Read, Behaviour::Fail(libc::EIO));
    }

    /// Makes each write of a block fail from now on.
    pub fn fail_writes(&self) {
        self.layer.set(Operation::Write, Behaviour::Fail(libc::EIO));
    }

    /// Makes all reads and writes work from now on.
    pub fn mend(&self) {
        self.layer.clear();
    }

    /// Writes a file to the disk and drops its cached pages, so that they have to be read again.
    pub fn write_out(&self, name: &str) -> Result<()> {
        let file = File::open(self.share().join(name))?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.mend();
        if self.mounted {
            // A lazy unmount would leave the device busy as long as a process uses the mount.
            if let Err(error) = unmount(self.share(), UnmountFlags::empty()) {
                eprintln!("cannot unmount {}: {error}", self.share().display());
                let _ = unmount(self.share(), UnmountFlags::DETACH);
            }
        }
        // The kernel removes the device with its last user.
        if let Err(error) = run(Command::new("losetup").arg("--detach").arg(&self.device)) {
            eprintln!("{error:#}");
        }
    }
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Disk;
    use crate::checks::gone;

    #[test]
    fn it_fails_is_mended_and_goes() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: a mount needs root");
            return;
        }
        let disk = Disk::mount().expect("a disk");
        let file = disk.share().join("file");
        fs::write(&file, "content").expect("written");
        disk.write_out("file").expect("written out");
        disk.fail_reads();
        let errno = fs::read(&file)
            .expect_err("it can't be read")
            .raw_os_error();
        assert_eq!(errno, Some(libc::EIO));
        disk.mend();
        assert_eq!(fs::read(&file).expect("read"), b"content");
        let folder = disk.folder().to_owned();
        drop(disk);
        gone::no_mount_is_left(&folder).expect("it is gone");
    }
}
