// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The ways in which a program accesses a file's bytes, behind one interface, and the ops of tests
//! that compare their results.

mod child;
mod copy;
mod file;
mod hold;
mod modify;
mod physical;
mod read_tree;
mod sweep;
mod upgrade;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{MapKind, Mapping};
use crate::worker::Fault;

pub use child::Fork;
pub use copy::{Copied, CopyMapped, Mapped};
pub use file::{
    FillPart, Hash, HashFile, HashTree, Part, VerifyPart, fill, hash, hash_tree, verify,
};
pub use hold::{Fsync, Hold, LoadBytes, Populate, StoreBytes};
pub use modify::Modify;
pub use physical::{StorePhysical, Stored};
pub use read_tree::ReadTree;
pub use sweep::{Sweep, Swept};
pub use upgrade::{Upgrade, Upgraded, Who};

/// The way to a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// read(2) and write(2).
    Syscall,
    /// Loads and stores through a shared mapping.
    Mmap,
}

/// A file opened for access in one way.
enum Access {
    Syscall(File),
    /// Through a mapping of the whole file.
    Mmap(Mapping),
}

impl Access {
    /// Opens `path`, which has to exist and keep its size.
    fn open(path: &Path, how: How, write: bool) -> Result<Self, Fault> {
        let file = open(path, write)?;
        match how {
            How::Syscall => Ok(Self::Syscall(file)),
            How::Mmap => Ok(Self::Mmap(map(&file, write)?)),
        }
    }

    /// Reads exactly `buffer.len()` bytes at `offset`.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        match self {
            Self::Syscall(file) => {
                let failed = format!("reading {} bytes at {offset:#x}", buffer.len());
                let read = file.read_exact_at(buffer, offset);
                read.map_err(Fault::of(failed))
            }
            Self::Mmap(mapping) => mapping.read(place(offset)?, buffer),
        }
    }

    /// Writes all of `bytes` at `offset`.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Syscall(file) => {
                let failed = format!("writing {} bytes at {offset:#x}", bytes.len());
                file.write_all_at(bytes, offset).map_err(Fault::of(failed))
            }
            Self::Mmap(mapping) => mapping.write(place(offset)?, bytes),
        }
    }
}

/// Opens an existing file.
fn open(path: &Path, write: bool) -> Result<File, Fault> {
    let opened = OpenOptions::new().read(true).write(write).open(path);
    opened.map_err(Fault::of(format!("opening {}", path.display())))
}

/// Maps all of a file.
fn map(file: &File, write: bool) -> Result<Mapping, Fault> {
    let size = file.metadata().map_err(Fault::of("asking for a size"))?;
    let kind = if write {
        MapKind::Shared
    } else {
        MapKind::ReadOnly
    };
    Mapping::new(file, 0, place(size.len())?, kind)
}

fn place(offset: u64) -> Result<usize, Fault> {
    usize::try_from(offset).map_err(|error| Fault::new("mapping", error.to_string()))
}
