// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether files of a device can be mapped at all: tried once for each, with the first file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;

use rustix::mm::{MapFlags, ProtFlags};
use shared_window::{Access, ViewError, ViewSource};
use virtiofsd::filesystem::{Context, FileSystem};

use super::{Answer, DaxEligibility};
use crate::fs::device::{Mappable, MountedDevice, Place, place};
use crate::fs::doubt::Doubt;
use crate::fs::{NodeId, is_trouble, is_trouble_with_view, with_file};
use crate::log::ErrorChain;

/// Why no view of a file can be mapped here.
#[derive(Debug, thiserror::Error)]
enum ProofError {
    #[error("no view of a file can be opened")]
    Open(#[source] ViewError),
    #[error("a view of a file cannot be mapped")]
    Map(#[source] io::Error),
}

impl ProofError {
    fn is_trouble(&self) -> bool {
        match self {
            Self::Open(error) => is_trouble_with_view(error),
            Self::Map(error) => is_trouble(error),
        }
    }
}

/// The state of a device.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Device {
    pub(super) proven: Option<Mappable>,
    pub(super) doubt: Option<Doubt>,
}

impl<S: ViewSource> DaxEligibility<S> {
    /// Records that the VMM has refused to map `node`. The reason may be this file, or all of its
    /// device.
    pub fn doubt_device_of<F: FileSystem>(&self, fs: &F, context: Context, node: NodeId) {
        if let Ok(place) = with_file(fs, context, node, libc::O_PATH, place) {
            self.doubt(place.device);
        }
    }

    /// Maps the first view of a device for reading and writing once, before the guest maps it.
    /// `view` is a view of `file`.
    ///
    /// # Errors
    /// If the view cannot be mapped. If the reason holds for all files of the device, none of them
    /// is promised any more.
    pub fn prove_writing(&self, file: BorrowedFd<'_>, view: BorrowedFd<'_>) -> io::Result<()> {
        let Place { device, .. } = place(file)?;
        if self.known(device).proven == Some(Mappable::ForWriting) {
            return Ok(());
        }
        match map_a_page(view, ProtFlags::READ | ProtFlags::WRITE) {
            Ok(()) => {
                self.devices.lock().entry(device).or_default().proven = Some(Mappable::ForWriting);
                Ok(())
            }
            Err(error) => {
                if is_of_all_files(&error) {
                    self.exclude(device, &ProofError::Map(error.kind().into()));
                }
                Err(error)
            }
        }
    }

    pub(super) fn known(&self, device: MountedDevice) -> Device {
        let devices = self.devices.lock();
        devices.get(&device).copied().unwrap_or_default()
    }

    /// Opens and maps a view of the first file of `device`, for reading.
    pub(super) fn try_device<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        device: MountedDevice,
        allows: Access,
    ) -> io::Result<Answer> {
        // The open does not wait for a lease: a lease concerns this file only, as other errors of
        // the open do.
        let flags = libc::O_RDONLY | libc::O_NONBLOCK;
        match with_file(fs, context, node, flags, |file| Ok(self.prove(file)))? {
            Ok(()) => {
                let mut devices = self.devices.lock();
                let proven = &mut devices.entry(device).or_default().proven;
                proven.get_or_insert(Mappable::ForReading);
                Ok(Answer::Always(Some(allows)))
            }
            Err(error) if error.is_trouble() => {
                self.doubt(device);
                let (major, minor) = (device.major, device.minor);
                log::warn!(
                    "cannot find out yet whether files on device {major}:{minor} can be mapped: {}",
                    ErrorChain(&error)
                );
                Ok(Answer::NotNow)
            }
            Err(error) => {
                self.exclude(device, &error);
                Ok(Answer::Always(None))
            }
        }
    }

    fn doubt(&self, device: MountedDevice) {
        let mut devices = self.devices.lock();
        let known = devices.entry(device).or_default();
        known.doubt = Some(Doubt::after(known.doubt));
    }

    fn exclude(&self, device: MountedDevice, error: &ProofError) {
        log::warn!(
            "files on device {}:{} are shared without DAX: {}",
            device.major,
            device.minor,
            ErrorChain(error)
        );
        self.devices.lock().entry(device).or_default().proven = Some(Mappable::No);
    }

    fn prove(&self, file: BorrowedFd<'_>) -> Result<(), ProofError> {
        let view = self
            .views
            .open(file, Access::ReadOnly)
            .map_err(ProofError::Open)?;
        map_a_page(view.as_fd(), ProtFlags::READ).map_err(ProofError::Map)
    }
}

/// Maps the first page of a view, and unmaps it.
fn map_a_page(view: BorrowedFd<'_>, allow: ProtFlags) -> io::Result<()> {
    let len = shared_window::page_size() as usize;
    // SAFETY: the kernel chooses the address, so the mapping replaces no other, and nothing
    // accesses it.
    let page = unsafe { rustix::mm::mmap(ptr::null_mut(), len, allow, MapFlags::SHARED, view, 0) }?;
    // SAFETY: this is the mapping that was made above.
    unsafe { rustix::mm::munmap(page, len) }?;
    Ok(())
}

/// Whether a mapping failed for a reason that holds for all files of the device.
fn is_of_all_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EINVAL))
}
