// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The private mount that views are opened in, and the thread that serves it.
//!
//! The mount is made with the mount API of Linux 5.2 and never attached to a directory. So no
//! process can reach it by a path, and nothing stays behind: the mount goes with its last
//! descriptor.

use std::ffi::CStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use fuser::{Config, Session, SessionACL};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::Unavailable;
use super::lost::LostPages;
use super::passthrough::{SharedSlots, Views};

const FUSE_DEVICE: &str = "/dev/fuse";

/// The file system type.
const FUSE: &CStr = c"fuse";

/// A mount of views that is being served by a thread of this process.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) mount: OwnedFd,
    pub(super) slots: SharedSlots,
}

impl Instance {
    /// Mounts, and starts to serve. Keeps the files of views open if they are to be guarded.
    pub(super) fn start(guards: bool, lost: LostPages) -> Result<Self, Unavailable> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(FUSE_DEVICE)
            .map_err(|error| Unavailable::NoDevice(errno(&error)))?;
        let device = OwnedFd::from(device);
        let mount = mount(&device).map_err(|error| match error {
            Errno::PERM => Unavailable::NotPermitted,
            Errno::NOSYS => Unavailable::NoPassthrough,
            other => Unavailable::Mount(other.raw_os_error()),
        })?;
        let slots = SharedSlots::new();
        // Any user may run the VMM that gets the views, hence the widest access. The mount itself
        // is private.
        Session::from_fd(
            Views::new(slots.clone(), guards, lost),
            device,
            SessionACL::All,
            Config::default(),
        )
        .and_then(Session::spawn)
        .map_err(|error| match error.kind() {
            io::ErrorKind::Unsupported => Unavailable::NoPassthrough,
            _ => Unavailable::Mount(errno(&error)),
        })?;
        Ok(Self { mount, slots })
    }
}

fn mount(device: &OwnedFd) -> Result<OwnedFd, Errno> {
    let context = fsopen(FUSE, FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &CStr, value: &str| fsconfig_set_string(&context, key, value);
    set(c"fd", &device.as_raw_fd().to_string())?;
    set(c"rootmode", "40000")?;
    set(c"user_id", "0")?;
    set(c"group_id", "0")?;
    // A VMM of another user calls fstat on views.
    fsconfig_set_flag(&context, c"allow_other")?;
    fsconfig_create(&context)?;
    fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
