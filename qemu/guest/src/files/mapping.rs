// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Parts of files in the worker's memory.

use std::ffi::c_void;
use std::fs::File;
use std::ptr;

use crate::pattern::{self, Seed};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use serde::{Deserialize, Serialize};

use crate::worker::{HandleTable, Fault, Op};

/// A part of a file in memory; unmapped when it is let go of.
pub struct Mapping {
    at: *mut c_void,
    len: usize,
    /// Where in the file it begins.
    offset: u64,
}

impl Mapping {
    /// Maps a part of a file, readable and writable.
    pub(crate) fn new(file: &File, offset: u64, len: usize, kind: MapFlags) -> Result<Self, Fault> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let mapped = unsafe { mmap(ptr::null_mut(), len, prot, kind, file, offset) };
        let at = mapped.map_err(Fault::of(format!("mapping {len} bytes at {offset:#x}")))?;
        Ok(Self { at, len, offset })
    }

    /// Address of the byte at `at`, of which `len` bytes are mapped.
    pub(crate) fn part(&self, at: usize, len: usize) -> Result<*mut u8, Fault> {
        let end = at.checked_add(len);
        if end.is_none_or(|end| end > self.len) {
            let what = format!("{len} bytes at {at} of a mapping of {}", self.len);
            return Err(Fault::new(what, "outside of it"));
        }
        // SAFETY: just checked to be within the mapping, which lives as long as `self`.
        Ok(unsafe { self.at.cast::<u8>().add(at) })
    }

    /// Where in the file it begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// A copy of mapped bytes. A page that is not there any more ends the worker by SIGBUS.
    pub(crate) fn load(&self, at: usize, len: usize) -> Result<Vec<u8>, Fault> {
        let from = self.part(at, len)?;
        let mut copy = vec![0; len];
        for (index, byte) in copy.iter_mut().enumerate() {
            // SAFETY: within the mapping. Others change the bytes meanwhile, so each is read once.
            *byte = unsafe { ptr::read_volatile(from.add(index)) };
        }
        Ok(copy)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by us, and no pointer into it outlives an op. A pin's
        // reference is the kernel's and may well outlive it: that is what the lab is about.
        if let Err(error) = unsafe { munmap(self.at, self.len) } {
            eprintln!("guest-agent: unmapping: {error}");
        }
    }
}

/// Maps a part of a kept file, shared and writable, and keeps the mapping. Gives its address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Map {
    /// What it will be called.
    pub name: String,
    /// The file.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How much of it.
    pub len: usize,
    /// A private mapping: its stores go to copies.
    pub private: bool,
}

impl Op for Map {
    const NAME: &'static str = "map";
    type Yield = u64;

    fn run(self, handles: &mut HandleTable) -> Result<u64, Fault> {
        let file: &File = handles.get(&self.file)?;
        let kind = if self.private {
            MapFlags::PRIVATE
        } else {
            MapFlags::SHARED
        };
        let mapping = Mapping::new(file, self.offset, self.len, kind)?;
        let address = mapping.at.addr() as u64;
        handles.keep(&self.name, mapping);
        Ok(address)
    }
}

/// Touches every page of a mapping's part, so that it is in the page tables.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Touch {
    /// The mapping.
    pub map: String,
    /// Where in it.
    pub at: usize,
    /// How much.
    pub len: usize,
    /// Stores what is there already, instead of just loading it.
    pub store: bool,
}

impl Op for Touch {
    const NAME: &'static str = "touch";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        let from = handles.get::<Mapping>(&self.map)?.part(self.at, self.len)?;
        for index in (0..self.len).step_by(page_size()) {
            // SAFETY: within the mapping.
            unsafe {
                let byte = from.add(index);
                let found = ptr::read_volatile(byte);
                if self.store {
                    ptr::write_volatile(byte, found);
                }
            }
        }
        Ok(())
    }
}

/// Compares a mapping's part with a file's pattern; gives the first difference in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// The mapping.
    pub map: String,
    /// Where in it.
    pub at: usize,
    /// How much.
    pub len: usize,
    /// The pattern that the file should have.
    pub seed: u64,
}

impl Op for Load {
    const NAME: &'static str = "load";
    type Yield = Option<String>;

    fn run(self, handles: &mut HandleTable) -> Result<Option<String>, Fault> {
        let map: &Mapping = handles.get(&self.map)?;
        let bytes = map.load(self.at, self.len)?;
        let checked = pattern::check(Seed(self.seed), map.offset + self.at as u64, &bytes);
        Ok(checked.err().map(|wrong| wrong.to_string()))
    }
}
