// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! process_vm_readv(2): FOLL_PIN for the time of a copy. Nothing can delay the copy, so it is
//! repeated while others remove the page.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// Copies from another process, many times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CopyFromProcess {
    pub pid: u32,
    pub address: u64,
    pub len: usize,
    pub times: u32,
}

/// The results of the copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    pub whole: u32,
    /// Copies that found the page gone (EFAULT, or fewer bytes).
    pub gone: u32,
}

impl Op for CopyFromProcess {
    const NAME: &'static str = "copy-from-process";
    type Yield = Copied;

    fn run(self, _: &mut HandleTable) -> Result<Copied, Fault> {
        let mut buffer = vec![0_u8; self.len];
        let mut copied = Copied { whole: 0, gone: 0 };
        for _ in 0..self.times {
            let local = libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            };
            let remote = libc::iovec {
                iov_base: std::ptr::without_provenance_mut(self.address as usize),
                iov_len: self.len,
            };
            // SAFETY: the kernel writes to our buffer only; it checks the other process's address.
            let done =
                unsafe { libc::process_vm_readv(self.pid.cast_signed(), &local, 1, &remote, 1, 0) };
            if usize::try_from(done) == Ok(self.len) {
                copied.whole += 1;
                continue;
            }
            let error = std::io::Error::last_os_error();
            if done < 0 && error.raw_os_error() != Some(Errno::FAULT.raw_os_error()) {
                return Err(Fault::of("process_vm_readv")(error));
            }
            copied.gone += 1;
        }
        Ok(copied)
    }
}
