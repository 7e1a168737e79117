// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of a turn, open, and mapped where it is by mapping that they are accessed.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{Access, Work};
use crate::files::{MapKind, Mapping};
use crate::worker::Fault;

/// The files.
#[derive(Debug)]
pub(super) struct Opened {
    dir: PathBuf,
    files: Vec<File>,
    mappings: Vec<Mapping>,
}

impl Opened {
    /// Opens all that the work wants. Files that grow are made, one for each thread.
    pub(super) fn open(dir: &Path, work: &Work) -> Result<Self, Fault> {
        let mut opened = Self {
            dir: dir.to_owned(),
            files: Vec::new(),
            mappings: Vec::new(),
        };
        if work.access == Access::Extend {
            for thread in 0..work.threads {
                let path = dir.join(growing(thread));
                let file = File::options()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .open(&path);
                opened.files.push(file.map_err(Fault::of(told(&path)))?);
            }
            return Ok(opened);
        }
        let writes = work.access.writes();
        for number in 0..work.files.count() {
            let path = dir.join(work.files.path(number));
            let file = File::options().read(true).write(writes).open(&path);
            let file = file.map_err(Fault::of(told(&path)))?;
            if work.access.is_mapped() {
                let len = work.files.part(number) as usize;
                let kind = if writes {
                    MapKind::Shared
                } else {
                    MapKind::ReadOnly
                };
                opened.mappings.push(Mapping::new(&file, 0, len, kind)?);
            }
            opened.files.push(file);
        }
        Ok(opened)
    }

    /// One of the files.
    pub(super) fn file(&self, number: u64) -> &File {
        &self.files[number as usize]
    }

    /// Its mapping.
    pub(super) fn mapping(&self, number: u64) -> &Mapping {
        &self.mappings[number as usize]
    }

    /// Its path, for messages.
    pub(super) fn path(&self, work: &Work, number: u64) -> String {
        let name = match work.access {
            Access::Extend => growing(number as u32),
            _ => work.files.path(number),
        };
        told(&self.dir.join(name))
    }

    /// Writes back what was stored to mappings.
    pub(super) fn sync(&self) -> Result<(), Fault> {
        self.mappings.iter().try_for_each(Mapping::sync)
    }

    /// Removes the files that were made to grow.
    pub(super) fn remove_grown(self, work: &Work) -> Result<(), Fault> {
        if work.access == Access::Extend {
            for thread in 0..work.threads {
                let path = self.dir.join(growing(thread));
                std::fs::remove_file(&path).map_err(Fault::of(told(&path)))?;
            }
        }
        Ok(())
    }
}

fn growing(thread: u32) -> String {
    format!("grows-{thread}")
}

fn told(path: &Path) -> String {
    path.display().to_string()
}
