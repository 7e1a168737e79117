// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stores to memory by its physical address, past the file system: what a hostile kernel can do.

use std::fs::File;

use serde::{Deserialize, Serialize};

use super::sweep::RANGE;
use crate::files::{MapKind, Mapping};
use crate::worker::{Fault, HandleTable, Op};

const MEMORY: &str = "/dev/mem";

/// Stores a word to the beginning of each 2 MiB range. Linux must have been started with
/// `iomem=relaxed`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StorePhysical {
    /// The physical address, a multiple of the page size.
    pub from: u64,
    /// How many bytes follow.
    pub len: u64,
    pub word: u64,
}

/// The result of the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Ranges that were stored to.
    pub stored: u64,
    /// Ranges that hold the word afterwards.
    pub kept: u64,
}

impl Op for StorePhysical {
    const NAME: &'static str = "store-physical";
    type Yield = Stored;

    fn run(self, _: &mut HandleTable) -> Result<Stored, Fault> {
        let memory = File::options().read(true).write(true).open(MEMORY);
        let memory = memory.map_err(Fault::of(format!("opening {MEMORY}")))?;
        let (mut stored, mut kept) = (0, 0);
        for at in (self.from..self.from + self.len).step_by(RANGE as usize) {
            let place = Mapping::new(&memory, at, size_of::<u64>(), MapKind::Shared)?;
            place.store_word(0, self.word);
            stored += 1;
            kept += u64::from(place.load_word(0) == self.word);
        }
        Ok(Stored { stored, kept })
    }
}
