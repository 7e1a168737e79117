// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory for the data of requests under way: one buffer for each, of whole pages.

use virtiofs_driver::{GuestBuffer, GuestSpan, Vm, memory::MemoryError};

use super::Size;

/// One buffer a slot.
#[derive(Debug)]
pub struct Buffers(Vec<GuestBuffer>);

impl Buffers {
    /// As many as requests can be under way.
    ///
    /// # Errors
    ///
    /// If guest memory is lacking.
    pub fn new(vm: &Vm, depth: usize) -> Result<Self, MemoryError> {
        let size = Size::Large.bytes() as usize;
        let one = |_| {
            let buffer = vm.memory().allocate(size, 4096)?;
            // Else the first use of each page would be the host's page fault.
            buffer.fill(0xd5);
            Ok(buffer)
        };
        Ok(Self(
            (0..depth).map(one).collect::<Result<_, MemoryError>>()?,
        ))
    }

    /// The first bytes of a slot's buffer.
    pub fn span(&self, slot: usize, len: u32) -> GuestSpan {
        self.0[slot].part(0..len as usize)
    }
}
