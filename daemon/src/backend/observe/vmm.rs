// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM whose calls are timed and followed.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use shared_window::{Access, Effect, FileOffset, Vmm, VmmError, WindowOffset};

use super::chart::CellState;
use super::observer::Observer;
use crate::backend::Metrics;

/// What the VMM can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Call {
    /// To map a range.
    Map,
    /// To unmap one.
    Unmap,
    /// To say that what it unmapped is gone.
    Settle,
}

impl Call {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Map, Self::Unmap, Self::Settle];

    /// Its name as the value of a label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Settle => "settle",
        }
    }
}

/// Asks another VMM, and tells the observer, where there is one.
pub(in crate::backend) struct ObservedVmm<M> {
    vmm: M,
    metrics: Arc<Metrics>,
}

impl<M> ObservedVmm<M> {
    pub(in crate::backend) fn new(vmm: M, metrics: Arc<Metrics>) -> Self {
        Self { vmm, metrics }
    }

    fn time<T>(&self, call: Call, ask: impl FnOnce(&M) -> T, note: impl Fn(&Observer, &T)) -> T {
        let Some(observer) = self.metrics.observer() else {
            return ask(&self.vmm);
        };
        let begun = Instant::now();
        let answer = ask(&self.vmm);
        observer.called(call, begun.elapsed());
        note(observer, &answer);
        answer
    }
}

impl<M: Vmm> Vmm for ObservedVmm<M> {
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError> {
        self.time(
            Call::Map,
            |vmm| vmm.map(at, len, view, from, access),
            |observer, answer| match answer {
                Ok(()) => observer.chart().mapped(at, len, from, CellState::Live),
                Err(error) if error.effect() == Effect::Unknown => {
                    observer.chart().mapped(at, len, from, CellState::Unknown);
                }
                Err(_) => {}
            },
        )
    }

    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError> {
        self.time(
            Call::Unmap,
            |vmm| vmm.unmap(at, len),
            |observer, answer| match answer {
                Ok(()) | Err(VmmError::NotMapped { .. }) => observer.chart().unmapped(at),
                Err(_) => observer.chart().unsure(at),
            },
        )
    }

    fn settle(&self) -> Result<(), VmmError> {
        self.time(Call::Settle, Vmm::settle, |_, _| {})
    }
}
