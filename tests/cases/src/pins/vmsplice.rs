// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A page in a pipe: FOLL_GET until it is read, for as long as an unprivileged process likes.

use std::fs::File;
use std::io::Read as _;
use std::slice;

use rustix::fd::OwnedFd;
use rustix::io::ioctl_fionread;
use rustix::pipe::{IoSliceRaw, SpliceFlags, pipe, vmsplice};
use serde::{Deserialize, Serialize};

use crate::actor::{Belongings, Fault, Verb};
use crate::files::{Mapping, difference};

/// A pipe with a page in it.
struct Pipe {
    reader: File,
    /// Open until the pipe is let go of, so that reading it never sees an end.
    _writer: OwnedFd,
}

/// Puts a part of a mapping into a new pipe. Gives the number of bytes that the pipe holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vmsplice {
    /// What the pipe will be called.
    pub name: String,
    /// The mapping.
    pub map: String,
    /// Where in it.
    pub at: usize,
    /// How much.
    pub len: usize,
}

impl Verb for Vmsplice {
    const NAME: &'static str = "vmsplice";
    type Yield = u64;

    fn run(self, own: &mut Belongings) -> Result<u64, Fault> {
        let failed = || "vmsplice into a pipe";
        let page = own.get::<Mapping>(&self.map)?.part(self.at, self.len)?;
        let (reader, writer) = pipe().map_err(Fault::of(failed()))?;
        // SAFETY: the page is mapped for the time of the call; later the pipe has a reference of
        // its own, and nobody here relies on the bytes staying as they are.
        let spliced = unsafe {
            let bytes = slice::from_raw_parts(page, self.len);
            let parts = [IoSliceRaw::from_slice(bytes)];
            vmsplice(&writer, &parts, SpliceFlags::empty())
        };
        spliced.map_err(Fault::of(failed()))?;
        let held = ioctl_fionread(&reader).map_err(Fault::of(failed()))?;
        let pipe = Pipe {
            reader: reader.into(),
            _writer: writer,
        };
        own.keep(&self.name, pipe);
        Ok(held)
    }
}

/// Reads what is in a pipe and compares it with the pattern of the file that it came from. Gives
/// the first difference in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drain {
    /// What the pipe is called.
    pub name: String,
    /// How many bytes are in it.
    pub len: usize,
    /// Where in the file they were.
    pub offset: u64,
    /// The file's pattern.
    pub seed: u64,
}

impl Verb for Drain {
    const NAME: &'static str = "drain";
    type Yield = Option<String>;

    fn run(self, own: &mut Belongings) -> Result<Option<String>, Fault> {
        let mut bytes = vec![0; self.len];
        let pipe: &mut Pipe = own.get_mut(&self.name)?;
        pipe.reader
            .read_exact(&mut bytes)
            .map_err(Fault::of("draining a pipe"))?;
        Ok(difference(Some(self.seed), self.offset, &bytes))
    }
}
