// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Taking a file system's free space, so that freed blocks get a new owner.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use guest_probe::pattern::{self, Seed};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::content::CHUNK;
use crate::actor::{Belongings, Fault, Verb};

/// Reserves all free space but some, by a file without content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    /// The file that takes it.
    pub path: String,
    /// How many bytes stay free.
    pub leave: u64,
}

impl Verb for Reserve {
    const NAME: &'static str = "reserve";
    type Yield = u64;

    fn run(self, _: &mut Belongings) -> Result<u64, Fault> {
        let failed = || format!("reserving space by {}", self.path);
        let file = File::create(&self.path).map_err(Fault::of(failed()))?;
        let space = statvfs(self.path.as_str()).map_err(Fault::of(failed()))?;
        let free = space.f_bavail * space.f_frsize;
        let len = free.saturating_sub(self.leave);
        if len > 0 {
            fallocate(&file, FallocateFlags::empty(), 0, len).map_err(Fault::of(failed()))?;
        }
        file.sync_all().map_err(Fault::of(failed()))?;
        Ok(len)
    }
}

/// Writes a pattern into a new file until the file system is full or `limit` is reached. Gives the
/// file's length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fill {
    /// Which file.
    pub path: String,
    /// Its greatest length in bytes.
    pub limit: u64,
    /// Its pattern.
    pub seed: u64,
}

impl Verb for Fill {
    const NAME: &'static str = "fill";
    type Yield = u64;

    fn run(self, _: &mut Belongings) -> Result<u64, Fault> {
        let failed = || format!("filling {}", self.path);
        let file = File::create(&self.path).map_err(Fault::of(failed()))?;
        let mut buffer = vec![0; CHUNK];
        let mut len = 0;
        while len < self.limit {
            let count = (self.limit - len).min(CHUNK as u64) as usize;
            pattern::fill(Seed(self.seed), len, &mut buffer[..count]);
            match file.write_at(&buffer[..count], len) {
                Ok(count) => len += count as u64,
                Err(error) if error.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => break,
                Err(error) => return Err(Fault::of(failed())(error)),
            }
        }
        file.sync_all().map_err(Fault::of(failed()))?;
        Ok(len)
    }
}
