// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the files are: in memory, so that no disk is measured. All sides that share a folder share
//! the same one.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use dax_cases::host::{FileSystem, pmem_image};
use qemu_guest::machine::{ByteSize, Pmem};
use qemu_guest::process::RunDir;

use crate::guest::make;
use crate::work::Files;

/// Where a host has memory for files.
const MEMORY: &str = "/dev/shm";

/// A folder of one run; it goes with this value.
#[derive(Debug)]
pub struct Ground {
    dir: RunDir,
    share: PathBuf,
    image: ByteSize,
    /// How many sockets of metrics there are.
    sockets: Cell<u32>,
}

impl Ground {
    /// A folder with room for working sets of so many bytes, with images of this size.
    ///
    /// # Errors
    ///
    /// If it can't be made, or there is no room.
    pub fn make(working: u64, pins: u64) -> Result<Self> {
        let dir = RunDir::create_in(Path::new(MEMORY))?;
        let share = dir.join("share");
        fs::create_dir(&share)?;
        // Blocks of the pinned file are there, so that a mapping of them is one of pages.
        let file = File::create(share.join("pins"))?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, pins.max(1))?;
        let need = 5 * working;
        let stat = rustix::fs::statvfs(MEMORY)?;
        let free = stat.f_bavail * stat.f_frsize;
        ensure!(
            free > need,
            "{MEMORY} has {} MiB free, and working sets of these sizes need {}: use a smaller \
             --window",
            free >> 20,
            need >> 20
        );
        // A journal, and what xfs wants at least.
        let image = (working + pins + (128 << 20)).max(384 << 20);
        Ok(Self {
            dir,
            share,
            sockets: Cell::new(0),
            image: ByteSize::new(image.next_multiple_of(128 << 20)),
        })
    }

    /// The shared folder.
    pub fn share(&self) -> &Path {
        &self.share
    }

    /// Makes files of the share.
    ///
    /// # Errors
    ///
    /// If they can't be made.
    pub fn files(&self, files: Files) -> Result<()> {
        make(&self.share, files).context("making the files that are shared")
    }

    /// A socket's path for a daemon's metrics, another one each time.
    pub(super) fn metrics(&self) -> PathBuf {
        let number = self.sockets.get();
        self.sockets.set(number + 1);
        self.dir.join(&format!("metrics{number}"))
    }

    /// An image with a file system; `name` tells it from others.
    ///
    /// # Errors
    ///
    /// If it can't be made.
    pub(super) fn image(&self, fs: FileSystem, name: &str) -> Result<Pmem> {
        let path = self.dir.join(&format!("{name}.img"));
        Ok(pmem_image(&path, fs, self.image)?)
    }
}
