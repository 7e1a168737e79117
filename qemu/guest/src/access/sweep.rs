// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Accesses one byte of every 2 MiB range of a file, to fill a window, and counts the failures.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::child::in_child;
use super::{Access, How, open};
use crate::worker::{Fault, HandleTable, Op};

/// The size that Linux maps at a time (`FUSE_DAX_SZ` of fs/fuse/dax.c).
pub(super) const RANGE: u64 = 2 << 20;

/// Reads a byte of each range of a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sweep {
    pub path: PathBuf,
    pub how: How,
}

/// The result of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// Ranges that could be read.
    pub touched: u64,
    /// Ranges that could not be read.
    pub failed: u64,
    /// The first of these, and the error that a program would have seen, or `signal-7`.
    pub first: Option<(u64, String)>,
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ranges read, {} not", self.touched, self.failed)?;
        match &self.first {
            Some((range, why)) => write!(f, "; the first is range {range}: {why}"),
            None => Ok(()),
        }
    }
}

impl Op for Sweep {
    const NAME: &'static str = "sweep";
    type Yield = Swept;

    fn run(self, _: &mut HandleTable) -> Result<Swept, Fault> {
        let metadata = open(&self.path, false)?.metadata();
        let size = metadata.map_err(Fault::of("asking for a size"))?.len();
        let access = Access::open(&self.path, self.how, false)?;
        let mut swept = Swept {
            touched: 0,
            failed: 0,
            first: None,
        };
        for range in 0..size.div_ceil(RANGE) {
            match touch(&access, range * RANGE)? {
                Ok(()) => swept.touched += 1,
                Err(why) => {
                    swept.failed += 1;
                    swept.first.get_or_insert((range, why));
                }
            }
        }
        Ok(swept)
    }
}

/// Reads one byte. The inner error is the one that a program would have seen.
fn touch(access: &Access, offset: u64) -> Result<Result<(), String>, Fault> {
    let mut byte = [0];
    match access {
        Access::Syscall(_) => Ok(access.read(offset, &mut byte).map_err(|e| e.message)),
        // A failed page fault is a signal, so a child takes it.
        Access::Mmap(_) => in_child(|| access.read(offset, &mut byte).is_ok()),
    }
}
