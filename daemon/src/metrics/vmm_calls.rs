// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM whose calls are timed and followed.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Instant;

use shared_window::{Access, Effect, FileOffset, Vmm, VmmError, WindowOffset};

use super::Metrics;
use super::chart::CellState;
use super::observer::Observer;

/// What the VMM can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Call {
    /// To map a range.
    Map,
    /// To unmap one.
    Unmap,
    /// To say that what it unmapped is gone.
    Fence,
}

impl Call {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Map, Self::Unmap, Self::Fence];

    /// Its name as the value of a label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Unmap => "unmap",
            Self::Fence => "settle",
        }
    }
}

/// Asks another VMM, and tells the observer, where there is one.
pub(crate) struct ObservedVmm<M> {
    vmm: M,
    metrics: Arc<Metrics>,
}

impl<M> ObservedVmm<M> {
    pub(crate) fn new(vmm: M, metrics: Arc<Metrics>) -> Self {
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

    fn fence(&self) -> Result<(), VmmError> {
        self.time(Call::Fence, Vmm::fence, |_, _| {})
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsFd as _;

    use parking_lot::Mutex;
    use shared_window::FileId;

    use super::*;
    use crate::fs::NodeId;
    use crate::metrics::Names;

    /// A VMM that answers what it is told to, once each.
    struct Told(Mutex<Vec<Result<(), VmmError>>>);

    impl Told {
        fn answer(&self) -> Result<(), VmmError> {
            self.0.lock().remove(0)
        }
    }

    impl Vmm for &Told {
        fn map(
            &self,
            _at: WindowOffset,
            _len: u64,
            _view: BorrowedFd<'_>,
            _from: FileOffset,
            _access: Access,
        ) -> Result<(), VmmError> {
            self.answer()
        }

        fn unmap(&self, _at: WindowOffset, _len: u64) -> Result<(), VmmError> {
            self.answer()
        }
    }

    const AT: WindowOffset = WindowOffset(0);
    const LEN: u64 = 4096;

    fn lost() -> VmmError {
        VmmError::Channel {
            what: "map",
            source: io::ErrorKind::UnexpectedEof.into(),
        }
    }

    fn refused() -> VmmError {
        VmmError::Refused {
            what: "unmap",
            at: AT,
            len: LEN,
            reason: None,
        }
    }

    /// The state of the one range after each of these calls.
    fn states(calls: Vec<(Call, Result<(), VmmError>)>) -> Vec<Option<CellState>> {
        let file = File::open("/proc/self/fd").unwrap();
        let observer = Arc::new(Observer::new(Names::new(file.try_clone().unwrap())));
        let metrics = Arc::new(Metrics::observed(1, Some(Arc::clone(&observer))));
        let (calls, answers): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
        let told = Told(Mutex::new(answers));
        let vmm = ObservedVmm::new(&told, metrics);
        observer.about(
            NodeId(1),
            FileId {
                device: 1,
                inode: 1,
            },
        );
        let states = calls.iter().map(|call| {
            // What comes of it is the window's to say.
            let _ = match call {
                Call::Map => vmm.map(AT, LEN, file.as_fd(), FileOffset(0), Access::ReadWrite),
                _ => vmm.unmap(AT, LEN),
            };
            observer.read().cells.first().map(|cell| cell.state)
        });
        states.collect()
    }

    #[test]
    fn what_is_known_after_a_call_is_what_is_charted() {
        use Call::{Map, Unmap};
        use CellState::{Live, Unknown};
        let gone = VmmError::NotMapped { at: AT, len: LEN };
        let after = states(vec![
            (Map, Err(VmmError::NoChannel)),
            (Map, Ok(())),
            (Unmap, Err(refused())),
            (Unmap, Ok(())),
            (Map, Err(lost())),
            (Unmap, Err(gone)),
        ]);
        assert_eq!(
            after,
            [None, Some(Live), Some(Unknown), None, Some(Unknown), None]
        );
    }
}
