// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Opens descriptors for writing in place of those for reading, if the server has allowed it.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::units::Access;
use crate::view::{ViewError, check_descriptor};

/// Opens the file behind `file` for writing; `None` if it is open for that already.
///
/// Only a regular file is opened: to open a device can have effects.
pub(super) fn for_writing(file: BorrowedFd<'_>) -> Result<Option<OwnedFd>, ViewError> {
    if check_descriptor(file, Access::ReadWrite).is_ok() {
        return Ok(None);
    }
    check_descriptor(file, Access::ReadOnly)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map(Some)
        .map_err(|errno| match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY => {
                ViewError::NotAllowed(Access::ReadWrite)
            }
            other => ViewError::System {
                what: "open a file again for writing",
                source: other.into(),
            },
        })
}
