// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From memory to a file.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};

use super::mapping::Mapping;
use super::opened::kept_or_open;
use crate::worker::{Fault, HandleTable, Op};

/// pwrite(2) of a part of a mapping. Gives the number of bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WriteMapped {
    pub map: String,
    pub at: usize,
    pub len: usize,
    pub path: String,
    pub offset: u64,
}

impl Op for WriteMapped {
    const NAME: &'static str = "write-mapped";
    type Yield = usize;

    fn run(self, handles: &mut HandleTable) -> Result<usize, Fault> {
        let from = handles.get::<Mapping>(&self.map)?.part(self.at, self.len)?;
        let file = kept_or_open(handles, &self.path)?;
        let offset = self.offset.cast_signed();
        // SAFETY: the kernel checks the address and reads `len` bytes of it.
        let done = unsafe { libc::pwrite(file.as_raw_fd(), from.cast(), self.len, offset) };
        let failed = || format!("writing a mapping to {} at {offset:#x}", self.path);
        usize::try_from(done).map_err(|_| Fault::of(failed())(std::io::Error::last_os_error()))
    }
}

/// fsync(2): dirty pages are written back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sync {
    pub file: String,
}

impl Op for Sync {
    const NAME: &'static str = "sync";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let file: &File = handles.get(&self.file)?;
        file.sync_all()
            .map_err(Fault::of(format!("fsync of {}", self.file)))
    }
}

/// The mtime of a kept file, by fstat(2). Gives seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Modified {
    pub file: String,
}

impl Op for Modified {
    const NAME: &'static str = "modified";
    type Yield = u64;

    fn run(self, handles: &mut HandleTable) -> Result<u64, Fault> {
        let file: &File = handles.get(&self.file)?;
        let is = file
            .metadata()
            .map_err(Fault::of(format!("fstat of {}", self.file)))?;
        Ok(is.mtime().cast_unsigned())
    }
}
