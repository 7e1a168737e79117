// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Copies a file to another one, one of which is mapped: as write(2) and read(2) do with a mapped
//! file's memory, for example in git.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{map, open};
use crate::files::Mapping;
use crate::worker::{Fault, HandleTable, Op};

/// Selects the mapped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mapped {
    /// The first: it is written to the second, which is created if need be.
    From,
    /// The second, which has to be as large: the first is read into it.
    To,
}

/// Copies a whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyMapped {
    pub from: PathBuf,
    pub to: PathBuf,
    pub mapped: Mapped,
    /// Opens the other with O_DIRECT.
    pub direct: bool,
    /// The offset in the other file.
    pub at: u64,
}

/// The progress of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    pub bytes: usize,
    /// Whether all bytes were copied.
    pub whole: bool,
    /// The system call's error that ended it, with its number.
    pub error: Option<(i32, String)>,
}

impl Op for CopyMapped {
    const NAME: &'static str = "copy-mapped";
    type Yield = Copied;

    fn run(self, _: &mut HandleTable) -> Result<Copied, Fault> {
        let writes = self.mapped == Mapped::From;
        let (path, other) = match self.mapped {
            Mapped::From => (&self.from, &self.to),
            Mapped::To => (&self.to, &self.from),
        };
        let mapping = map(&open(path, !writes)?, !writes)?;
        let opened = OpenOptions::new()
            .read(!writes)
            .write(writes)
            .create(writes)
            .truncate(false)
            .custom_flags(if self.direct { libc::O_DIRECT } else { 0 })
            .open(other);
        let other = opened.map_err(Fault::of(format!("opening {}", other.display())))?;
        let (mut bytes, mut error) = (0, None);
        while bytes < mapping.size() {
            match transfer(&mapping, bytes, &other, self.at + bytes as u64, writes)? {
                Ok(0) => break,
                Ok(count) => bytes += count,
                Err(why) => {
                    error = Some((why.raw_os_error().unwrap_or_default(), why.to_string()));
                    break;
                }
            }
        }
        let whole = bytes == mapping.size();
        Ok(Copied {
            bytes,
            whole,
            error,
        })
    }
}

/// One system call from or into the rest of the mapping. The inner error is the kernel's.
fn transfer(
    mapping: &Mapping,
    at: usize,
    other: &File,
    offset: u64,
    writes: bool,
) -> Result<io::Result<usize>, Fault> {
    let len = mapping.size() - at;
    let memory = mapping.part(at, len)?;
    let (fd, offset) = (other.as_raw_fd(), offset.cast_signed());
    // SAFETY: part() has checked the range, which the mapping keeps alive; no reference to its bytes
    // exists, and one for reading is only read.
    let moved = unsafe {
        if writes {
            libc::pwrite(fd, memory.cast(), len, offset)
        } else {
            libc::pread(fd, memory.cast(), len, offset)
        }
    };
    Ok(usize::try_from(moved).map_err(|_| io::Error::last_os_error()))
}
