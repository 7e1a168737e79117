// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! O_DIRECT by read(2) and write(2): FOLL_PIN until the device, or another file's server, answers.
//! The worker is in the system call meanwhile.

use std::fs::File;

use rustix::fd::{AsFd as _, AsRawFd as _};
use serde::{Deserialize, Serialize};

use crate::files::Mapping;
use crate::worker::{Fault, HandleTable, Op};

/// One transfer between a page and a device (or another file) that is open with O_DIRECT.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transfer {
    pub map: String,
    pub at: usize,
    pub len: usize,
    /// The other side, kept open.
    pub device: String,
    /// The offset on the other side.
    pub offset: u64,
    /// From the page to the device; else the device's data goes to the page.
    pub write: bool,
}

impl Transfer {
    /// The descriptor of the other side and the page's address.
    pub(super) fn parts(&self, handles: &HandleTable) -> Result<(i32, *mut u8), Fault> {
        let page = handles.get::<Mapping>(&self.map)?.part(self.at, self.len)?;
        let device = handles.get::<File>(&self.device)?.as_fd().as_raw_fd();
        Ok((device, page))
    }

    pub(super) fn name(&self) -> &'static str {
        if self.write { "write" } else { "read" }
    }

    /// The kernel's count of bytes, or its errno negated.
    pub(super) fn result(&self, result: i64) -> Result<usize, Fault> {
        usize::try_from(result).map_err(|_| {
            let errno = i32::try_from(-result).unwrap_or(i32::MAX);
            let error = std::io::Error::from_raw_os_error(errno);
            Fault::of(format!("O_DIRECT {}", self.name()))(error)
        })
    }
}

/// Transfers by pread(2) or pwrite(2). Gives the number of bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DirectIo(pub Transfer);

impl Op for DirectIo {
    const NAME: &'static str = "direct-io";
    type Yield = usize;

    fn run(self, handles: &mut HandleTable) -> Result<usize, Fault> {
        let Self(transfer) = self;
        let (fd, page) = transfer.parts(handles)?;
        let offset = transfer.offset.cast_signed();
        // SAFETY: the page is mapped and stays so for the call.
        let done = unsafe {
            if transfer.write {
                libc::pwrite(fd, page.cast(), transfer.len, offset)
            } else {
                libc::pread(fd, page.cast(), transfer.len, offset)
            }
        };
        usize::try_from(done)
            .map_err(|_| std::io::Error::last_os_error())
            .map_err(Fault::of(format!("O_DIRECT {}", transfer.name())))
    }
}
