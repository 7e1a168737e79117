// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Ranges of the window that can't be taken away: a page of each is in a pipe that nobody reads.

use std::fs::File;
use std::path::Path;
use std::slice;

use rustix::fd::OwnedFd;
use rustix::io::ioctl_fionread;
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_setpipe_size, pipe, vmsplice};

use super::{PAGE, RANGE};
use crate::files::{MapKind, Mapping};
use crate::worker::Fault;

/// The file whose ranges are pinned.
const FILE: &str = "pins";
/// A pipe can have more slots, but not for everyone.
const SLOTS: u64 = 256;

/// The pins; they end with it.
pub(super) struct Pins {
    _reader: OwnedFd,
    _writer: OwnedFd,
}

impl Pins {
    /// Pins the first page of so many ranges of the file in `dir`.
    pub(super) fn take(dir: &Path, ranges: u64) -> Result<Self, Fault> {
        let path = dir.join(FILE);
        let failed = || format!("pinning pages of {}", path.display());
        if ranges > SLOTS {
            let why = format!("at most {SLOTS} ranges can be pinned");
            return Err(Fault::new(failed(), why));
        }
        let file = File::open(&path).map_err(Fault::of(failed()))?;
        let mapping = Mapping::new(&file, 0, (ranges * RANGE) as usize, MapKind::ReadOnly)?;
        let (reader, writer) = pipe().map_err(Fault::of(failed()))?;
        fcntl_setpipe_size(&writer, (SLOTS * PAGE) as usize).map_err(Fault::of(failed()))?;
        for range in 0..ranges {
            let page = mapping.part((range * RANGE) as usize, PAGE as usize)?;
            // SAFETY: the page is mapped for the time of the call; later the pipe has a reference of
            // its own, and nobody here relies on the bytes staying as they are.
            let spliced = unsafe {
                let bytes = slice::from_raw_parts(page, PAGE as usize);
                vmsplice(
                    &writer,
                    &[IoSliceRaw::from_slice(bytes)],
                    SpliceFlags::empty(),
                )
            };
            spliced.map_err(Fault::of(failed()))?;
        }
        let held = ioctl_fionread(&reader).map_err(Fault::of(failed()))?;
        if held != ranges * PAGE {
            let why = format!("the pipe holds {held} bytes only");
            return Err(Fault::new(failed(), why));
        }
        Ok(Self {
            _reader: reader,
            _writer: writer,
        })
    }
}
