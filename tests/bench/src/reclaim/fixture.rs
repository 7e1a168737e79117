// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of the benchmark. They are in memory, so that no disk affects the speed. All sides on
//! a share use the same folder.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use dax_cases::host::{FileSystem, pmem_image, pmem_image_of};
use qemu_guest::vm::machine::{ByteSize, Pmem};
use qemu_guest::vm::process::RunDir;

use guest_agent::workload::{Files, make};

/// The host's file system in memory.
pub const IN_MEMORY: &str = "/dev/shm";

/// The folder of a run; its drop removes the folder.
#[derive(Debug)]
pub struct Fixture {
    dir: RunDir,
    share: PathBuf,
    image: ByteSize,
    /// The number of sockets for metrics so far.
    sockets: Cell<u32>,
}

impl Fixture {
    /// Makes a folder below `place` with room for working sets of `working` bytes, and for images
    /// that hold them and `pins` pinned bytes.
    ///
    /// # Errors
    ///
    /// If it can't be made, or there is no room.
    pub fn make(place: &Path, working: u64, pins: u64) -> Result<Self> {
        let dir = RunDir::create_in(place)?;
        let share = dir.join("share");
        fs::create_dir(&share)?;
        // The blocks of the pinned file are allocated, so that a mapping of them has pages.
        let file = File::create(share.join("pins"))?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, pins.max(1))?;
        let need = 5 * working;
        let stat = rustix::fs::statvfs(place)?;
        let free = stat.f_bavail * stat.f_frsize;
        ensure!(
            free > need,
            "{} has {} MiB free, and working sets of these sizes need {}: use smaller ones",
            place.display(),
            free >> 20,
            need >> 20
        );
        // Room for a journal, and the minimum that xfs needs.
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

    /// A new socket path for a daemon's metrics.
    pub(super) fn metrics(&self) -> PathBuf {
        let number = self.sockets.get();
        self.sockets.set(number + 1);
        self.dir.join(&format!("metrics{number}"))
    }

    /// The ext4 image with the files of the shared folder.
    pub(crate) fn image_of_share(&self) -> Pmem {
        Pmem {
            image: self.dir.join("share.img"),
            size: self.image,
        }
    }

    /// Makes that image from the present files of the shared folder.
    ///
    /// # Errors
    ///
    /// If it can't be made.
    pub(crate) fn make_image_of_share(&self) -> Result<Pmem> {
        let Pmem { image, size } = self.image_of_share();
        Ok(pmem_image_of(&image, &self.share, size)?)
    }

    /// Makes an image with a file system; `name` is part of its file name.
    ///
    /// # Errors
    ///
    /// If it can't be made.
    pub(super) fn image(&self, fs: FileSystem, name: &str) -> Result<Pmem> {
        let path = self.dir.join(&format!("{name}.img"));
        Ok(pmem_image(&path, fs, self.image)?)
    }
}
