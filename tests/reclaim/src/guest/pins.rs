// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Ranges of the window that can't be taken away: a page of each is in a pipe that nobody reads.

use std::fs::File;
use std::io;
use std::path::Path;
use std::slice;

use rustix::fd::OwnedFd;
use rustix::io::ioctl_fionread;
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_setpipe_size, pipe, vmsplice};

use super::{Fault, mapping::Mapping};
use crate::work::{PAGE, RANGE};

/// The file whose ranges are pinned.
pub(super) const FILE: &str = "pins";
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
        if ranges > SLOTS {
            return Err(Fault::Order(format!(
                "at most {SLOTS} ranges can be pinned"
            )));
        }
        let path = dir.join(FILE);
        let taken = take(&path, ranges);
        taken.map_err(Fault::of(format!("pinning pages of {}", path.display())))
    }
}

fn take(path: &Path, ranges: u64) -> io::Result<Pins> {
    let mapping = Mapping::of(&File::open(path)?, (ranges * RANGE).max(1), false)?;
    let (reader, writer) = pipe()?;
    fcntl_setpipe_size(&writer, (SLOTS * PAGE) as usize)?;
    for range in 0..ranges {
        let page = mapping.page(range * RANGE);
        // SAFETY: the page is mapped for the time of the call; later the pipe has a reference of its
        // own, and nobody here relies on the bytes staying as they are.
        unsafe {
            let bytes = slice::from_raw_parts(page, PAGE as usize);
            vmsplice(
                &writer,
                &[IoSliceRaw::from_slice(bytes)],
                SpliceFlags::empty(),
            )?;
        }
    }
    let held = ioctl_fionread(&reader)?;
    if held != ranges * PAGE {
        return Err(io::Error::other(format!(
            "the pipe holds {held} bytes only"
        )));
    }
    Ok(Pins {
        _reader: reader,
        _writer: writer,
    })
}
