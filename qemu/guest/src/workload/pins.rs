// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Ranges of the window that can't be reclaimed: a page of each is in a pipe that is never read.

use std::fs::File;
use std::path::Path;

use super::{PAGE, RANGE};
use crate::files::{MapKind, Mapping};
use crate::pins::Pipe;
use crate::worker::Fault;

/// The file whose ranges are pinned.
const FILE: &str = "pins";

/// The pins; they end with it.
pub(super) struct Pins(#[expect(dead_code, reason = "held for its end")] Pipe);

impl Pins {
    /// Pins the first page of so many ranges of the file in `dir`.
    pub(super) fn take(dir: &Path, ranges: u64) -> Result<Self, Fault> {
        let path = dir.join(FILE);
        let failed = || format!("pinning pages of {}", path.display());
        let most = Pipe::SLOTS;
        if ranges > most.into() {
            let why = format!("at most {most} ranges can be pinned");
            return Err(Fault::new(failed(), why));
        }
        let file = File::open(&path).map_err(Fault::of(failed()))?;
        let mapping = Mapping::new(&file, 0, (ranges * RANGE) as usize, MapKind::ReadOnly)?;
        let pipe = Pipe::large()?;
        for range in 0..ranges {
            pipe.splice(&mapping, (range * RANGE) as usize, PAGE as usize)?;
        }
        let held = pipe.held()?;
        if held != ranges * PAGE {
            let why = format!("the pipe holds {held} bytes only");
            return Err(Fault::new(failed(), why));
        }
        Ok(Self(pipe))
    }
}
