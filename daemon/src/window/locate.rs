// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Probes the VMM with scratch memory, before a driver uses the window.
//!
//! The probes run at INIT: the VMM has started the device, Linux has placed the window, and sends
//! no other request before INIT is answered. Each INIT probes anew, since the window is empty then
//! and nothing depends on earlier answers. The VMM's program and version play no part.
//!
//! # Where the window lies in the guest's address space
//! vhost-user has no message for the window's address. But the VMM announces the guest address of
//! each memory region, and a mapping at the window's beginning is a region. So a page of scratch
//! memory is mapped there: the region with that file lies at the window's address.
//!
//! QEMU sends its table only while there are at most 8 regions. If there are as many without the
//! probe, the address stays unknown, and a request with a buffer in the window could not be served.
//! So nothing is mapped for that driver: its files are read through FUSE.
//!
//! # What the VMM needs, and what it does ([`Behaviour`])
//! An empty file is mapped at another place. If the VMM enlarges it to the size of the mapping (as
//! QEMU 11.1 does) or refuses it, the VMM needs views ([`shared_window::ViewSource`]). A VMM that
//! leaves this file empty leaves any file as it is.
//!
//! The same mapping shows whether mappings are regions. Suppose a VMM announces the mapping at the
//! beginning and not this one, although it has answered a second request since. Then it makes no
//! region of this one. Such a VMM has no memory layout to commit either, so its answer is the
//! effect. If a VMM announces neither, it may have other reasons, and nothing is concluded.
//!
//! If no views are needed, a file is mapped that can be mapped for reading only. The kernel allows
//! no shared writable mapping of it, so success means that the guest can't write it. A VMM that
//! needs views is not probed: QEMU 11.1 would complain in its log, and has no use for the answer.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{MemfdFlags, SealFlags};
use shared_window::{Access, FileOffset, Vmm, VmmError, WindowOffset, page_size};

use crate::fs::WindowNegotiated;
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::{Behaviour, Trait};
use crate::window::address_space::{AddressSpace, FileNumber, Learnt};

type Report = Box<dyn Fn(&Behaviour) + Send + Sync>;

/// Probes the VMM.
pub(crate) struct Locator<M> {
    vmm: M,
    space: Arc<AddressSpace>,
    negotiated: WindowNegotiated,
    behaviour: Arc<Behaviour>,
    /// Acts on the answers.
    report: Option<Report>,
    log_limit: LogLimit,
    /// What mappings allow the guest.
    access: Access,
    /// Files are mapped directly: there are no views.
    plain: bool,
    /// Whether the log has the line about an unknown address.
    told: AtomicBool,
    /// Whether the log has the line about files that can't be mapped as they are.
    said_unfit: AtomicBool,
}

/// Probes the VMM; the window has to be empty.
pub(crate) trait Locate: Send + Sync {
    /// See [`Locator`]. Blocks on the VMM.
    fn locate(&self);
}

/// The result of a mapping of scratch memory.
struct Probed {
    /// The VMM has announced the mapping as a region.
    told: bool,
    learnt: Learnt,
    outcome: Result<(), VmmError>,
}

impl<M: Vmm> Locator<M> {
    pub(crate) fn new(
        vmm: M,
        space: Arc<AddressSpace>,
        negotiated: WindowNegotiated,
        behaviour: Arc<Behaviour>,
    ) -> Self {
        Self {
            vmm,
            space,
            negotiated,
            behaviour,
            report: None,
            log_limit: LogLimit::default(),
            access: Access::ReadWrite,
            plain: false,
            told: AtomicBool::new(false),
            said_unfit: AtomicBool::new(false),
        }
    }

    /// Sets the access that mappings allow, and whether files are mapped directly (`plain`).
    pub(crate) fn mapping(self, access: Access, plain: bool) -> Self {
        Self {
            access,
            plain,
            ..self
        }
    }

    /// Sets a function that gets the answers.
    pub(crate) fn reporting_to(self, report: impl Fn(&Behaviour) + Send + Sync + 'static) -> Self {
        Self {
            report: Some(Box::new(report)),
            ..self
        }
    }

    /// Maps a page of `scratch`, and unmaps it again.
    fn probe(&self, scratch: &File, at: WindowOffset, access: Access) -> Probed {
        let (outcome, told) = match FileNumber::of(scratch) {
            None => (Err(no_scratch(io::ErrorKind::Unsupported.into())), false),
            Some(number) => {
                self.space.expect_probe(number, at);
                let outcome = self.map_once(scratch, at, access);
                (outcome, self.space.has_seen_probe())
            }
        };
        Probed {
            told,
            learnt: self.space.forget_probe(),
            outcome,
        }
    }

    /// Maps and unmaps a page. Returns when the VMM has done both, and all that follows from them.
    fn map_once(&self, file: &File, at: WindowOffset, access: Access) -> Result<(), VmmError> {
        let len = page_size();
        self.vmm.map(at, len, file.as_fd(), FileOffset(0), access)?;
        self.vmm.unmap(at, len)?;
        self.vmm.fence()
    }

    /// Learns the window's address; returns whether the VMM has announced the probe.
    fn learn_place(&self) -> Result<bool, VmmError> {
        let scratch = scratch()?;
        scratch.set_len(page_size()).map_err(no_scratch)?;
        let probed = self.probe(&scratch, WindowOffset(0), Access::ReadWrite);
        if let Err(error) = &probed.outcome {
            self.log_limit.warn(format_args!(
                "cannot ask the VMM for the window's address: {}",
                ErrorChain(error)
            ));
        }
        self.negotiated.set_reachable(probed.learnt != Learnt::Full);
        match probed.learnt {
            Learnt::Full => self.log_limit.warn(
                "no DAX: the VM has 8 memory regions or more, so QEMU does not tell where the \
                 window is; with --mem-slots it would",
            ),
            Learnt::Untold if !self.told.swap(true, Ordering::Relaxed) => {
                log::info!("the VMM does not tell where the window is");
            }
            Learnt::Untold | Learnt::Known => {}
        }
        Ok(probed.told)
    }

    /// Maps an empty file, which answers three questions. `told` is whether the VMM has announced
    /// the mapping at the window's beginning.
    fn learn_from_empty_file(&self, told: bool, found: &Behaviour) -> Result<(), VmmError> {
        let scratch = scratch()?;
        // Not at the beginning, since a VMM may take a mapping there for memory and announce it; an
        // empty file can't be memory.
        let probed = self.probe(&scratch, elsewhere(), Access::ReadWrite);
        let mapped = probed.outcome.is_ok();
        let needs_views = match probed.outcome {
            Ok(()) => scratch.metadata().map_err(no_scratch)?.len() != 0,
            Err(VmmError::Refused { .. }) => true,
            Err(error) => return Err(error),
        };
        let regions = (probed.told || (told && mapped)).then_some(probed.told);
        found.set(Trait::NeedsViews, Some(needs_views));
        found.set(Trait::UsesRegions, regions);
        found.set(Trait::AnswersAfterEffect, regions.map(|uses| !uses));
        Ok(())
    }

    /// Maps a file that can be mapped for reading only.
    fn learn_from_file_to_read(&self, found: &Behaviour) -> Result<(), VmmError> {
        if found.get(Trait::NeedsViews) != Some(false) {
            return Ok(());
        }
        let scratch = scratch()?;
        // From here on the kernel allows the same mappings of it as of a file that is open for
        // reading only.
        rustix::fs::fcntl_add_seals(&scratch, SealFlags::FUTURE_WRITE)
            .map_err(|errno| no_scratch(errno.into()))?;
        let enforces = match self.map_once(&scratch, elsewhere(), Access::ReadOnly) {
            Ok(()) => true,
            Err(VmmError::Refused { .. }) => false,
            Err(error) => return Err(error),
        };
        found.set(Trait::EnforcesReadOnly, Some(enforces));
        Ok(())
    }

    fn learn(&self, found: &Behaviour) -> Result<(), VmmError> {
        let told = self.learn_place()?;
        self.learn_from_empty_file(told, found)?;
        self.learn_from_file_to_read(found)
    }

    /// Whether the VMM may be given files directly, without views.
    fn is_fit(&self) -> bool {
        let keeps = self.behaviour.get(Trait::NeedsViews) == Some(false);
        let enforces = self.behaviour.get(Trait::EnforcesReadOnly) == Some(true);
        let fit = keeps && (self.access == Access::ReadWrite || enforces);
        if !fit && !self.said_unfit.swap(true, Ordering::Relaxed) {
            log::warn!("{}", why_unfit(self.access));
        }
        fit
    }
}

fn why_unfit(access: Access) -> &'static str {
    match access {
        Access::ReadWrite => {
            "no DAX: this VMM changes the size of what it maps, so it needs views of files, which \
             can't be made here"
        }
        Access::ReadOnly => {
            "no DAX: the share is read-only, and this VMM maps nothing for reading only without \
             changing its size"
        }
    }
}

/// An offset in the window that is not its beginning.
fn elsewhere() -> WindowOffset {
    WindowOffset(page_size())
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
        if !self.negotiated.is_set() {
            return;
        }
        let found = Behaviour::default();
        if let Err(error) = self.learn(&found) {
            self.log_limit.warn(format_args!(
                "cannot find out how the VMM treats its window: {}",
                ErrorChain(&error)
            ));
        }
        if let Some(report) = &self.report {
            report(&found);
        }
        self.behaviour.replace(&found);
        if self.plain {
            self.negotiated.set_fit(self.is_fit());
        }
    }
}
