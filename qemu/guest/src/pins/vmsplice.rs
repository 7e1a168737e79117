// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A page in a pipe: FOLL_GET until the pipe is read, for as long as an unprivileged process likes.

use std::fs::File;
use std::io::Read as _;
use std::slice;

use rustix::fd::OwnedFd;
use rustix::io::ioctl_fionread;
use rustix::param::page_size;
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_setpipe_size, pipe, vmsplice};
use serde::{Deserialize, Serialize};

use crate::files::{Mapping, difference};
use crate::worker::{Fault, HandleTable, Op};

/// A pipe that refers to pages.
pub(crate) struct Pipe {
    reader: File,
    /// Open until the pipe is dropped, so that a read never sees its end.
    writer: OwnedFd,
}

impl Pipe {
    /// How many references a pipe of the largest size has room for; an unprivileged process may not
    /// get more.
    pub(crate) const SLOTS: u32 = 256;

    /// One of the usual size.
    pub(crate) fn new() -> Result<Self, Fault> {
        let (reader, writer) = pipe().map_err(Fault::of("making a pipe"))?;
        Ok(Self {
            reader: reader.into(),
            writer,
        })
    }

    /// One with [`Self::SLOTS`].
    pub(crate) fn large() -> Result<Self, Fault> {
        let pipe = Self::new()?;
        let size = Self::SLOTS as usize * page_size();
        fcntl_setpipe_size(&pipe.writer, size).map_err(Fault::of("making a pipe larger"))?;
        Ok(pipe)
    }

    /// Puts a part of a mapping into it, by reference.
    pub(crate) fn splice(&self, map: &Mapping, at: usize, len: usize) -> Result<(), Fault> {
        let page = map.part(at, len)?;
        // SAFETY: the page is mapped for the time of the call. Afterwards the pipe has its own
        // reference, and no code here relies on the bytes staying the same.
        let spliced = unsafe {
            let bytes = slice::from_raw_parts(page, len);
            let parts = [IoSliceRaw::from_slice(bytes)];
            vmsplice(&self.writer, &parts, SpliceFlags::empty())
        };
        spliced.map(drop).map_err(Fault::of("vmsplice into a pipe"))
    }

    /// Bytes that it holds.
    pub(crate) fn held(&self) -> Result<u64, Fault> {
        ioctl_fionread(&self.reader).map_err(Fault::of("asking what a pipe holds"))
    }
}

/// Puts a part of a mapping into a new pipe. Returns the number of bytes in the pipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vmsplice {
    pub name: String,
    pub map: String,
    pub at: usize,
    pub len: usize,
}

impl Op for Vmsplice {
    const NAME: &'static str = "vmsplice";
    type Yield = u64;

    fn run(self, handles: &mut HandleTable) -> Result<u64, Fault> {
        let pipe = Pipe::new()?;
        pipe.splice(handles.get(&self.map)?, self.at, self.len)?;
        let held = pipe.held()?;
        handles.keep(&self.name, pipe);
        Ok(held)
    }
}

/// Reads what is in a pipe and compares it with the pattern of the file that it came from. Gives
/// the first difference in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drain {
    pub name: String,
    /// How many bytes are in it.
    pub len: usize,
    /// Where in the file they were.
    pub offset: u64,
    pub seed: u64,
}

impl Op for Drain {
    const NAME: &'static str = "drain";
    type Yield = Option<String>;

    fn run(self, handles: &mut HandleTable) -> Result<Option<String>, Fault> {
        let mut bytes = vec![0; self.len];
        let pipe: &mut Pipe = handles.get_mut(&self.name)?;
        pipe.reader
            .read_exact(&mut bytes)
            .map_err(Fault::of("draining a pipe"))?;
        Ok(difference(Some(self.seed), self.offset, &bytes))
    }
}

/// Drains a pipe and puts the part into it again, with as little delay as possible.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SpliceAgain {
    pub name: String,
    pub map: String,
    pub at: usize,
    pub len: usize,
}

impl Op for SpliceAgain {
    const NAME: &'static str = "splice-again";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let mut bytes = vec![0; self.len];
        let pipe: &Pipe = handles.get(&self.name)?;
        let map: &Mapping = handles.get(&self.map)?;
        let drained = (&pipe.reader).read_exact(&mut bytes);
        pipe.splice(map, self.at, self.len)?;
        drained.map_err(Fault::of("draining a pipe"))
    }
}

/// Takes a number of references to a page, by vmsplice(2) of one byte each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VmspliceMany {
    pub name: String,
    pub map: String,
    pub at: usize,
    pub times: u32,
}

impl Op for VmspliceMany {
    const NAME: &'static str = "vmsplice-many";
    type Yield = u32;

    fn run(self, handles: &mut HandleTable) -> Result<u32, Fault> {
        let map: &Mapping = handles.get(&self.map)?;
        let (mut pipes, mut taken) = (Vec::new(), 0);
        while taken < self.times {
            let pipe = Pipe::large()?;
            for _ in 0..Pipe::SLOTS.min(self.times - taken) {
                pipe.splice(map, self.at, 1)?;
                taken += 1;
            }
            pipes.push(pipe);
        }
        handles.keep(&self.name, pipes);
        Ok(taken)
    }
}
