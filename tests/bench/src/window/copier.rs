// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Copies out of the page cache, with nothing in between: what a range costs at least.

use std::{fs::File, io, ptr, sync::Arc};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use vm_memory::VolatileSlice;

use crate::files::RANGE;

/// A range of a file, mapped until it is dropped.
#[derive(Debug)]
pub struct Mapped {
    at: *mut u8,
    /// What is mapped must not be shortened.
    _file: Arc<File>,
}

impl Mapped {
    /// Maps one range.
    pub fn new(file: &Arc<File>, range: u32) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let from = u64::from(range) * RANGE;
        let len = RANGE as usize;
        // SAFETY: a new mapping, wherever there is place.
        let at = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, from)? };
        Ok(Self {
            at: at.cast(),
            _file: Arc::clone(file),
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> VolatileSlice<'_> {
        // SAFETY: all of it is mapped for as long as `self` is there, and the file, which this
        // program made and nobody else knows, keeps its length.
        unsafe { VolatileSlice::new(self.at, RANGE as usize) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it is this value's mapping, and no slice of it is left.
        let _ = unsafe { munmap(self.at.cast(), RANGE as usize) };
    }
}

// SAFETY: a mapping belongs to the process, not to a thread.
unsafe impl Send for Mapped {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn a_range_shows_its_part_of_the_file() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.set_len(2 * RANGE).unwrap();
        file.write_all_at(b"second", RANGE).unwrap();
        let mut bytes = [0; 6];
        Mapped::new(&file, 1).unwrap().bytes().copy_to(&mut bytes);
        assert_eq!(&bytes, b"second");
    }
}
