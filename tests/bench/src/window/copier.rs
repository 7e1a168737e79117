// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Copies directly out of the page cache: the minimum cost of a range.

use std::{fs::File, io, ptr, sync::Arc};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use vm_memory::VolatileSlice;

use crate::files::RANGE;

/// A range of a file, mapped until it is dropped.
#[derive(Debug)]
pub struct Mapped {
    at: *mut u8,
    /// The mapped file must not become shorter.
    _file: Arc<File>,
}

impl Mapped {
    /// Maps one range.
    pub fn new(file: &Arc<File>, range: u32) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let from = u64::from(range) * RANGE;
        let len = RANGE as usize;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, from)? };
        Ok(Self {
            at: at.cast(),
            _file: Arc::clone(file),
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> VolatileSlice<'_> {
        // SAFETY: the whole range is mapped while `self` exists. The file keeps its length: this
        // program made it, and no other process knows it.
        unsafe { VolatileSlice::new(self.at, RANGE as usize) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping belongs to this value, and no slice of it exists any more.
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
