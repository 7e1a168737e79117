// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's loads and stores.

use std::io;

use vm_memory::VolatileSlice;

use super::{Window, WindowError};
use crate::units::WindowOffset;

impl Window {
    /// Loads bytes by a system call, so that a lost page causes an error and no signal.
    ///
    /// # Errors
    /// [`WindowError`]: some of `bytes` may have been loaded.
    pub fn read(&self, at: WindowOffset, bytes: &mut [u8]) -> Result<(), WindowError> {
        self.check(at, bytes.len())?;
        let local = libc::iovec {
            iov_base: bytes.as_mut_ptr().cast(),
            iov_len: bytes.len(),
        };
        self.transfer(at, &local, libc::process_vm_readv)
    }

    /// Stores bytes by a system call, so that a lost page causes an error and no signal.
    ///
    /// # Errors
    /// [`WindowError`]: some of `bytes` may have been stored.
    pub fn write(&self, at: WindowOffset, bytes: &[u8]) -> Result<(), WindowError> {
        self.check(at, bytes.len())?;
        let local = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        self.transfer(at, &local, libc::process_vm_writev)
    }

    /// Direct access to the memory, for measurements.
    ///
    /// # Errors
    /// [`WindowError::Outside`].
    ///
    /// # Safety
    /// As long as the slice is used, the whole range has to stay mapped, and its file must not
    /// become shorter. Else an access ends the process by SIGSEGV or SIGBUS.
    pub unsafe fn volatile_slice(
        &self,
        at: WindowOffset,
        len: usize,
    ) -> Result<VolatileSlice<'_>, WindowError> {
        self.check_bounds(at, len)?;
        // SAFETY: the range is in the window, which lives as long as the slice. The caller
        // guarantees the mapping.
        Ok(unsafe { VolatileSlice::new(self.0.range.address(at.0), len) })
    }

    /// The address of a window offset in this process, for tools that inspect it from outside.
    ///
    /// # Panics
    /// If the offset is not within the window.
    pub fn address(&self, at: WindowOffset) -> usize {
        self.0.range.address(at.0) as usize
    }

    fn check_bounds(&self, at: WindowOffset, len: usize) -> Result<(), WindowError> {
        let size = self.size();
        let end = at.0.checked_add(len as u64).filter(|end| *end <= size);
        end.map(|_| ())
            .ok_or(WindowError::Outside { at, len, size })
    }

    /// Fails if the range has a hole. The result can be outdated as soon as this returns.
    fn check(&self, at: WindowOffset, len: usize) -> Result<(), WindowError> {
        self.check_bounds(at, len)?;
        let state = self.0.state.lock();
        let mut next = at.0;
        while next < at.0 + len as u64 {
            let mapping = state.table.find(next);
            let at = WindowOffset(next);
            next = mapping.ok_or(WindowError::Hole { at })?.end();
        }
        Ok(())
    }

    fn transfer(
        &self,
        at: WindowOffset,
        local: &libc::iovec,
        call: unsafe extern "C" fn(
            libc::pid_t,
            *const libc::iovec,
            libc::c_ulong,
            *const libc::iovec,
            libc::c_ulong,
            libc::c_ulong,
        ) -> isize,
    ) -> Result<(), WindowError> {
        let len = local.iov_len;
        let remote = libc::iovec {
            iov_base: self.0.range.address(at.0).cast(),
            iov_len: len,
        };
        let this = rustix::process::getpid().as_raw_nonzero().get();
        // SAFETY: `local` describes a slice that outlives the call. The kernel checks the remote
        // address, which is in the window, and no reference points there.
        let done = unsafe { call(this, local, 1, &remote, 1, 0) };
        match usize::try_from(done) {
            Ok(done) if done == len => Ok(()),
            Ok(done) => Err(self.lost(WindowOffset(at.0 + done as u64))),
            Err(_) => match io::Error::last_os_error() {
                source if source.raw_os_error() == Some(libc::EFAULT) => Err(self.lost(at)),
                source => Err(WindowError::Access { at, len, source }),
            },
        }
    }

    /// The reason why a byte at this offset can't be accessed although it was mapped a moment ago.
    fn lost(&self, at: WindowOffset) -> WindowError {
        match self.mapping_at(at) {
            Some(_) => WindowError::LostPage { at },
            None => WindowError::Hole { at },
        }
    }
}
