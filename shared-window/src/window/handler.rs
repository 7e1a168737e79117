// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window as fuse-backend-rs's handler of SETUPMAPPING and REMOVEMAPPING.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingFlags};
use fuse_backend_rs::transport::FsCacheReqHandler;

use super::{RemoveRange, SetupRange, Window};
use crate::units::{Access, FileOffset, WindowOffset};
use crate::view::ViewSource;
use crate::vmm::Vmm;

impl<M, S> FsCacheReqHandler for Window<M, S>
where
    M: Vmm + 'static,
    S: ViewSource + 'static,
{
    fn map(
        &mut self,
        foffset: u64,
        moffset: u64,
        len: u64,
        flags: u64,
        fd: RawFd,
    ) -> io::Result<()> {
        if fd < 0 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        // SAFETY: the trait passes a descriptor that its caller keeps open during the call, as
        // fuse-backend-rs's own file system does. It is used only for system calls.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        let writes = flags & SetupmappingFlags::WRITE.bits() != 0;
        let ask = SetupRange {
            window: WindowOffset(moffset),
            file: FileOffset(foffset),
            len,
            access: if writes {
                Access::ReadWrite
            } else {
                Access::ReadOnly
            },
        };
        self.setup(file, ask).map_err(|error| refused(&error))
    }

    fn unmap(&mut self, requests: Vec<RemovemappingOne>) -> io::Result<()> {
        let ranges: Vec<_> = requests
            .iter()
            .map(|one| RemoveRange {
                window: WindowOffset(one.moffset),
                len: one.len,
            })
            .collect();
        self.remove(&ranges).map_err(|error| refused(&error))
    }
}

/// The guest gets the errno. The details are only logged here, since the trait has no room for
/// them.
fn refused(error: &super::WindowError) -> io::Error {
    log::debug!("{error}");
    io::Error::from_raw_os_error(error.errno())
}
