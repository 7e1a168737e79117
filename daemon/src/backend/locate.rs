// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the window lies in the guest's address space.
//!
//! vhost-user does not tell it. But a mapping is a memory region, and the VMM tells each region's
//! guest address. So before a driver uses the window, one page of scratch memory is mapped at its
//! beginning: the region whose file that is lies at the window's address. Linux has placed the
//! window by then, and asks for nothing before INIT is answered.
//!
//! QEMU tells its table only while there are at most 8 regions. Where there are as many without the
//! probe, the address is not told, and a request with a buffer in the window could not be served. So
//! nothing is mapped for that driver: its files are read through FUSE.

use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::MemfdFlags;
use shared_window::{Access, FileOffset, Vmm, VmmError, WindowOffset, page_size};

use super::address_space::{AddressSpace, FileNumber, Learnt};
use super::complaint::{Complaint, WithSources};
use crate::fs::WindowTaken;

/// Learns the window's address.
pub(super) struct Locator<M> {
    vmm: M,
    space: Arc<AddressSpace>,
    taken: WindowTaken,
    complaint: Complaint,
    /// The front end has been seen to tell where a mapping is, or not to.
    told: AtomicBool,
}

/// Asks the VMM for the window's address; the window has to be empty.
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
            told: AtomicBool::new(false),
        }
    }

    /// Maps the scratch memory, and unmaps it again.
    fn probe(&self) -> Result<(), VmmError> {
        let failed = |source| VmmError::Channel {
            what: "make scratch memory",
            source,
        };
        let scratch = rustix::fs::memfd_create("window-probe", MemfdFlags::CLOEXEC);
        let scratch = File::from(scratch.map_err(|errno| failed(errno.into()))?);
        scratch.set_len(page_size()).map_err(failed)?;
        let Some(number) = FileNumber::of(&scratch) else {
            return Err(failed(std::io::ErrorKind::Unsupported.into()));
        };
        let (at, len) = (WindowOffset(0), page_size());
        self.space.expect_probe(number);
        self.vmm
            .map(at, len, scratch.as_fd(), FileOffset(0), Access::ReadWrite)?;
        self.vmm.unmap(at, len)?;
        self.vmm.settle()
    }
}

impl<M: Vmm> Locate for Locator<M> {
    fn locate(&self) {
        if !self.taken.is_set() || self.space.is_up_to_date() {
            return;
        }
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
