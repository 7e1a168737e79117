// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Takes a file system's free space, so that freed blocks get a new owner.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::pattern::{self, Seed};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::content::{CHUNK, chunks};
use super::opened::kept_or_open;
use super::pools;
use crate::worker::{Fault, HandleTable, Op};

/// Reserves all free space but `leave` bytes, by a file without content. The file system has to
/// release its own reserve before, which would be free space that no file can take.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reserve {
    /// The file that takes it.
    pub path: String,
    /// How many bytes stay free.
    pub leave: u64,
}

impl Op for Reserve {
    const NAME: &'static str = "reserve";
    type Yield = u64;

    fn run(self, _: &mut HandleTable) -> Result<u64, Fault> {
        let failed = || format!("reserving space by {}", self.path);
        let file = File::create(&self.path).map_err(Fault::of(failed()))?;
        pools::give_up(&file).map_err(Fault::of(failed()))?;
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

/// The smallest write that is tried before a file system counts as full: a block.
const LEAST: usize = 4096;

/// Writes a pattern into a new file until the file system is full or `limit` is reached. Returns
/// the file's length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fill {
    pub path: String,
    /// Its greatest length in bytes.
    pub limit: u64,
    pub seed: u64,
}

impl Op for Fill {
    const NAME: &'static str = "fill";
    type Yield = u64;

    fn run(self, _: &mut HandleTable) -> Result<u64, Fault> {
        let failed = || format!("filling {}", self.path);
        let file = File::create(&self.path).map_err(Fault::of(failed()))?;
        let mut buffer = vec![0; CHUNK];
        let mut len = 0;
        // A write that is too long for the remaining space may write nothing.
        let mut most = CHUNK;
        while len < self.limit && most >= LEAST {
            let count = (self.limit - len).min(most as u64) as usize;
            pattern::fill(Seed(self.seed), len, &mut buffer[..count]);
            match file.write_at(&buffer[..count], len) {
                Ok(count) => len += count as u64,
                Err(error) if error.raw_os_error() == Some(Errno::NOSPC.raw_os_error()) => {
                    most /= 2;
                }
                Err(error) => return Err(Fault::of(failed())(error)),
            }
        }
        file.sync_all().map_err(Fault::of(failed()))?;
        Ok(len)
    }
}

/// Writes a pattern into a part of a file that is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Overwrite {
    pub path: String,
    pub offset: u64,
    pub len: u64,
    pub seed: u64,
}

impl Op for Overwrite {
    const NAME: &'static str = "overwrite";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let failed = || format!("writing to {}", self.path);
        let file = kept_or_open(handles, &self.path)?;
        let mut buffer = vec![0; CHUNK];
        for (at, count) in chunks(self.offset, self.len) {
            pattern::fill(Seed(self.seed), at, &mut buffer[..count]);
            file.write_all_at(&buffer[..count], at)
                .map_err(Fault::of(failed()))?;
        }
        file.sync_all().map_err(Fault::of(failed()))
    }
}
