// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Opening and letting go.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::actor::{Belongings, Fault, Verb};

/// Opens a file for reading and writing and keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Open {
    /// What it will be called.
    pub name: String,
    /// Which file.
    pub path: String,
    /// With O_DIRECT.
    pub direct: bool,
}

impl Verb for Open {
    const NAME: &'static str = "open";
    type Yield = ();

    fn run(self, own: &mut Belongings) -> Result<(), Fault> {
        own.keep(&self.name, open(&self.path, self.direct)?);
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

/// Lets go of a file, a mapping or a pin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Close {
    /// What it is called.
    pub name: String,
}

impl Verb for Close {
    const NAME: &'static str = "close";
    type Yield = ();

    fn run(self, own: &mut Belongings) -> Result<(), Fault> {
        own.drop(&self.name)
    }
}
