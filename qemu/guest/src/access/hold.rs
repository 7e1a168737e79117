// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A mapping that a test on the host reads and changes at any time.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{map, open};
use crate::files::Mapping;
use crate::worker::{Fault, HandleTable, Op};

/// Maps all of a file and keeps the mapping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    pub name: String,
    pub path: PathBuf,
    /// Opens and maps it writable.
    pub write: bool,
}

impl Op for Hold {
    const NAME: &'static str = "hold";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let mapping = map(&open(&self.path, self.write)?, self.write)?;
        handles.keep(&self.name, mapping);
        Ok(())
    }
}

/// Loads bytes from a mapping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadBytes {
    pub map: String,
    pub at: usize,
    pub len: usize,
}

impl Op for LoadBytes {
    const NAME: &'static str = "load-bytes";
    type Yield = Vec<u8>;

    fn run(self, handles: &mut HandleTable) -> Result<Vec<u8>, Fault> {
        handles.get::<Mapping>(&self.map)?.load(self.at, self.len)
    }
}

/// Stores bytes to a mapping.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreBytes {
    pub map: String,
    pub at: usize,
    pub bytes: Vec<u8>,
}

impl Op for StoreBytes {
    const NAME: &'static str = "store-bytes";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        handles
            .get::<Mapping>(&self.map)?
            .write(self.at, &self.bytes)
    }
}

/// Enters pages of a mapping into the page table without an access to their bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Populate {
    pub map: String,
    pub at: usize,
    pub len: usize,
}

impl Op for Populate {
    const NAME: &'static str = "populate";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        handles
            .get::<Mapping>(&self.map)?
            .populate(self.at, self.len)
    }
}

/// fsync(2) of a file by a new descriptor. Returns false if it fails.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fsync {
    pub path: PathBuf,
    /// Opens it for writing, too.
    pub write: bool,
}

impl Op for Fsync {
    const NAME: &'static str = "fsync";
    type Yield = bool;

    fn run(self, _: &mut HandleTable) -> Result<bool, Fault> {
        Ok(open(&self.path, self.write)?.sync_all().is_ok())
    }
}
