// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Both seams of the window, failing on demand, and broken in ways that have to be noticed.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use shared_window::{
    Access, DirectViews, FileOffset, ProcessWindow, ViewError, ViewSource, Vmm, VmmError,
    WindowOffset, page_size,
};

/// What happens to one call to the VMM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallFault {
    None,
    /// The VMM refuses, and does nothing.
    Refused,
    /// The channel breaks before the call has any effect.
    LostBefore,
    /// The channel breaks after the call has had its effect.
    LostAfter,
    /// The call panics after it has had its effect.
    Panic,
}

/// A seam that breaks its contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Answers an unmap, and leaves the mapping.
    IgnoresUnmap,
    /// Answers a map, and maps nothing.
    IgnoresMap,
    /// Maps another part of the file.
    MapsNextPage,
    /// Refuses, but maps.
    LiesAboutRefusal,
    /// Returns a view of the file of an earlier request.
    MixesViews,
}

impl Mutant {
    pub(crate) const ALL: [Self; 5] = [
        Self::IgnoresUnmap,
        Self::IgnoresMap,
        Self::MapsNextPage,
        Self::LiesAboutRefusal,
        Self::MixesViews,
    ];
}

/// The text of injected panics, which are not printed.
const INJECTED: &str = "injected into a call to the VMM";

/// A VMM in this process whose calls go wrong as planned.
pub(crate) struct FaultyVmm {
    pub(crate) memory: ProcessWindow,
    pub(crate) plan: Mutex<VecDeque<CallFault>>,
    mutant: Option<Mutant>,
}

/// Views that can fail.
pub(crate) struct FaultyViews {
    pub(crate) fails: AtomicBool,
    mutant: Option<Mutant>,
    last: Mutex<Option<OwnedFd>>,
}

impl FaultyVmm {
    pub(crate) fn new(memory: ProcessWindow, mutant: Option<Mutant>) -> Self {
        Self {
            memory,
            plan: Mutex::default(),
            mutant,
        }
    }

    fn call(
        &self,
        what: &'static str,
        (at, len): (WindowOffset, u64),
        act: impl FnOnce() -> Result<(), VmmError>,
    ) -> Result<(), VmmError> {
        let fault = self.plan.lock().unwrap().pop_front();
        let refused = VmmError::Refused {
            what,
            at,
            len,
            reason: None,
        };
        match fault.unwrap_or(CallFault::None) {
            CallFault::None => act(),
            CallFault::Refused if self.mutant == Some(Mutant::LiesAboutRefusal) => {
                act().and(Err(refused))
            }
            CallFault::Refused => Err(refused),
            CallFault::LostBefore => Err(lost(what)),
            CallFault::LostAfter => act().and(Err(lost(what))),
            CallFault::Panic => {
                act()?;
                std::panic::panic_any(INJECTED);
            }
        }
    }
}

fn lost(what: &'static str) -> VmmError {
    VmmError::Channel {
        what,
        source: io::ErrorKind::BrokenPipe.into(),
    }
}

impl Vmm for FaultyVmm {
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError> {
        self.call("map", (at, len), || match self.mutant {
            Some(Mutant::IgnoresMap) => Ok(()),
            Some(Mutant::MapsNextPage) => {
                let from = FileOffset(from.0 + page_size());
                self.memory.map(at, len, view, from, access)
            }
            _ => self.memory.map(at, len, view, from, access),
        })
    }

    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError> {
        self.call("unmap", (at, len), || match self.mutant {
            Some(Mutant::IgnoresUnmap) => Ok(()),
            _ => self.memory.unmap(at, len),
        })
    }

    fn fence(&self) -> Result<(), VmmError> {
        self.call("fence", (WindowOffset(0), 0), || Ok(()))
    }
}

impl FaultyViews {
    pub(crate) fn new(mutant: Option<Mutant>) -> Self {
        Self {
            fails: AtomicBool::new(false),
            mutant,
            last: Mutex::new(None),
        }
    }
}

impl ViewSource for FaultyViews {
    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(ViewError::ServerGone);
        }
        let view = DirectViews.open(file, access)?;
        if self.mutant == Some(Mutant::MixesViews) {
            let another = view.try_clone().unwrap();
            return Ok(self.last.lock().unwrap().replace(another).unwrap_or(view));
        }
        Ok(view)
    }
}

/// Keeps the output readable: panics that are injected are caught, and expected.
pub(crate) fn silence_expected_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&INJECTED) {
                print(info);
            }
        }));
    });
}
