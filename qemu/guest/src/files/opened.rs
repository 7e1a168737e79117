// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Opens and closes files.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// Opens a file for reading and writing and keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    pub name: String,
    pub path: String,
    pub direct: bool,
}

impl Op for Open {
    const NAME: &'static str = "open";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        handles.keep(&self.name, open(&self.path, self.direct)?);
        Ok(())
    }
}

/// Opens a file for reading and writing.
pub(crate) fn open(path: &str, direct: bool) -> Result<File, Fault> {
    let flags = if direct { OFlags::DIRECT.bits() } else { 0 };
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .custom_flags(flags.cast_signed());
    options
        .open(path)
        .map_err(Fault::of(format!("opening {path}")))
}

/// The file that is kept under its path, else a new one. An open may change the page cache of FUSE,
/// which is a case of its own and must not happen in the middle of another.
pub(crate) fn kept_or_open<'o>(handles: &'o HandleTable, path: &str) -> Result<AnyFile<'o>, Fault> {
    match handles.get::<File>(path) {
        Ok(file) => Ok(AnyFile::Kept(file)),
        Err(_) => open(path, false).map(AnyFile::New),
    }
}

/// A file that is kept or a new one.
pub(crate) enum AnyFile<'o> {
    /// A file in the handle table.
    Kept(&'o File),
    /// A new file, which is closed at the end of the op.
    New(File),
}

impl std::ops::Deref for AnyFile<'_> {
    type Target = File;

    fn deref(&self) -> &File {
        match self {
            Self::Kept(file) => file,
            Self::New(file) => file,
        }
    }
}

/// Closes a file, unmaps a mapping or releases a pin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Close {
    pub name: String,
}

impl Op for Close {
    const NAME: &'static str = "close";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        handles.close(&self.name)
    }
}
