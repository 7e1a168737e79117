// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the VMM does not say about the window, found out by scratch memory before a driver uses it.
//!
//! # Where the window lies in the guest's address space
//! vhost-user does not tell it. But a mapping is a memory region, and the VMM tells each region's
//! guest address. So before a driver uses the window, one page of scratch memory is mapped at its
//! beginning: the region whose file that is lies at the window's address. Linux has placed the
//! window by then, and asks for nothing before INIT is answered.
//!
//! QEMU tells its table only while there are at most 8 regions. Where there are as many without the
//! probe, the address is not told, and a request with a buffer in the window could not be served. So
//! nothing is mapped for that driver: its files are read through FUSE.
//!
//! # Whether the VMM maps a file as it is
//! QEMU 11.1 refuses to map more than a file has, and makes a file without a size as large as the
//! mapping. So it needs views ([`shared_window::ViewSource`]). Where this host can't make any, an
//! empty file is mapped: a VMM that does so and leaves it empty does it with any file.
//!
//! For a read-only share the file is one that can be mapped for reading only. QEMU 11.1 can't map it.
//! That such files are never written by the guest is the kernel's doing and no VMM's: the descriptors
//! that are handed over are open for reading only.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::{MemfdFlags, SealFlags};
use shared_window::{Access, FileOffset, Vmm, VmmError, WindowOffset, page_size};

use super::address_space::{AddressSpace, FileNumber, Learnt};
use super::complaint::{Complaint, WithSources};
use crate::fs::WindowTaken;

/// Finds out what the VMM does not say about the window.
pub(super) struct Locator<M> {
    vmm: M,
    space: Arc<AddressSpace>,
    taken: WindowTaken,
    complaint: Complaint,
    /// Files are to be mapped as they are, and to allow this; what is known of the VMM.
    plain: Option<(Access, OnceLock<bool>)>,
    /// The front end has been seen to tell where a mapping is, or not to.
    told: AtomicBool,
}

/// Finds out what the VMM does not say; the window has to be empty.
pub(super) trait Locate: Send + Sync {
    /// See [`Locator`]. Waits for the VMM.
    fn locate(&self);
}

impl<M: Vmm> Locator<M> {
    pub(super) fn new(vmm: M, space: Arc<AddressSpace>, taken: WindowTaken) -> Self {
        Self {
            vmm,
            space,
            taken,
            complaint: Complaint::default(),
            plain: None,
            told: AtomicBool::new(false),
        }
    }

    /// The same for a window into which files are mapped as they are, if that is so, and what the
    /// mappings allow.
    pub(super) fn for_plain_files(self, plain: Option<Access>) -> Self {
        Self {
            plain: plain.map(|access| (access, OnceLock::new())),
            ..self
        }
    }

    /// Maps a page of scratch memory, and unmaps it again.
    fn probe(&self) -> Result<(), VmmError> {
        let scratch = scratch()?;
        scratch.set_len(page_size()).map_err(no_scratch)?;
        let Some(number) = FileNumber::of(&scratch) else {
            return Err(no_scratch(io::ErrorKind::Unsupported.into()));
        };
        self.space.expect_probe(number);
        self.map_once(&scratch, WindowOffset(0), Access::ReadWrite)
    }

    /// Whether the VMM maps a file as it is, so that its guest may do no more than `access`.
    fn keeps_files(&self, access: Access) -> Result<bool, VmmError> {
        let scratch = scratch()?;
        if access == Access::ReadOnly {
            // From here on the kernel lets it be mapped as a file that is open for reading only.
            rustix::fs::fcntl_add_seals(&scratch, SealFlags::FUTURE_WRITE)
                .map_err(|errno| no_scratch(errno.into()))?;
        }
        // Not at the beginning, of which a VMM may tell this daemon: what has no page can't be
        // memory.
        match self.map_once(&scratch, WindowOffset(page_size()), access) {
            Ok(()) => Ok(scratch.metadata().map_err(no_scratch)?.len() == 0),
            Err(VmmError::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Maps a page of `file`, and unmaps it again.
    fn map_once(&self, file: &File, at: WindowOffset, access: Access) -> Result<(), VmmError> {
        let len = page_size();
        self.vmm.map(at, len, file.as_fd(), FileOffset(0), access)?;
        self.vmm.unmap(at, len)?;
        self.vmm.settle()
    }

    /// Finds out once whether files can be mapped as they are.
    fn learn_whether_it_keeps_files(&self, access: Access, known: &OnceLock<bool>) {
        if known.get().is_none() {
            match self.keeps_files(access) {
                Ok(keeps) => {
                    say_whether_it_keeps_files(access, keeps);
                    let _ = known.set(keeps);
                }
                Err(error) => self.complaint.warn(format_args!(
                    "whether the VMM maps files as they are can't be asked: {}",
                    WithSources(&error)
                )),
            }
        }
        self.taken.set_fit(known.get() == Some(&true));
    }

    fn learn_place(&self) {
        let probed = self.probe();
        let learnt = self.space.forget_probe();
        if let Err(error) = probed {
            self.complaint.warn(format_args!(
                "the window's address can't be asked for: {}",
                WithSources(&error)
            ));
        }
        self.taken.set_reachable(learnt != Learnt::Full);
        match learnt {
            Learnt::Full => self.complaint.warn(
                "no DAX: the VM has 8 memory regions or more, so QEMU does not tell where the \
                 window is; with --mem-slots it would",
            ),
            Learnt::Untold if !self.told.swap(true, Ordering::Relaxed) => {
                log::info!("the VMM does not tell where the window is");
            }
            Learnt::Untold | Learnt::Known => {}
        }
    }
}

fn say_whether_it_keeps_files(access: Access, keeps: bool) {
    match (keeps, access) {
        (true, Access::ReadWrite) => {
            log::info!("the VMM maps files as they are, so no views are needed");
        }
        (true, Access::ReadOnly) => {
            log::info!("the VMM maps files as they are, and for reading only");
        }
        (false, Access::ReadWrite) => log::warn!(
            "no DAX: this VMM changes the size of what it maps, so it needs views of files, which \
             can't be made here"
        ),
        (false, Access::ReadOnly) => log::warn!(
            "no DAX: the share is read-only, and this VMM maps nothing for reading only without \
             changing its size"
        ),
    }
}

fn no_scratch(source: io::Error) -> VmmError {
    VmmError::Channel {
        what: "make scratch memory",
        source,
    }
}

/// An empty file in memory.
fn scratch() -> Result<File, VmmError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let scratch = rustix::fs::memfd_create("window-probe", flags);
    Ok(File::from(
        scratch.map_err(|errno| no_scratch(errno.into()))?,
    ))
}

impl<M: Vmm> Locate for Locator<M> {
    fn locate(&self) {
        if !self.taken.is_set() {
            return;
        }
        // The table is not enough where a file in it looks like memory.
        if self.plain.is_some() || !self.space.is_up_to_date() {
            self.learn_place();
        }
        if let Some((access, known)) = &self.plain {
            self.learn_whether_it_keeps_files(*access, known);
        }
    }
}
