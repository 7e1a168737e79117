// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The kernel's FUSE client, and its requests.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

/// The largest request is a write of a MiB, preceded by a page.
const REQUEST: usize = 2 << 20;

/// A FUSE mount. The caller of these methods is its server.
pub(super) struct Kernel {
    device: File,
    place: PathBuf,
    buffer: Vec<u8>,
}

impl Kernel {
    /// Mounts at `place`, in this thread's mount namespace.
    pub(super) fn mount(place: &Path) -> Self {
        fs::create_dir_all(place).expect("a directory");
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.expect("/dev/fuse; is the module fuse loaded?");
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,max_read=8192",
            device.as_raw_fd()
        );
        let options = std::ffi::CString::new(options).expect("no zero in it");
        rustix::mount::mount(
            "seeds",
            place,
            "fuse",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .expect("a FUSE mount");
        Self {
            device,
            place: place.to_owned(),
            buffer: vec![0; REQUEST],
        }
    }

    /// The next request; `None` after the end of the mount.
    pub(super) fn request(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.device.read(&mut self.buffer) {
                Ok(len) => return Some(self.buffer[..len].to_vec()),
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return None,
                // The request was interrupted before it was read.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => panic!("the kernel's requests: {error}"),
            }
        }
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, reply: &[u8]) {
        if !reply.is_empty() {
            // The request may have been interrupted, so that no task waits for the reply.
            let _ = self.device.write_all(reply);
        }
    }

    /// Ends the mount, from any thread of this mount namespace.
    pub(super) fn end(place: &Path) {
        // The mount is busy while the kernel still closes files.
        while rustix::mount::unmount(place, UnmountFlags::empty()) == Err(rustix::io::Errno::BUSY) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // The mount is gone already, unless a thread has panicked.
        let _ = rustix::mount::unmount(&self.place, UnmountFlags::DETACH);
    }
}
