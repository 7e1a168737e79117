// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Serving one front end: the seam between the start of the daemon and its back end.

use std::num::NonZeroU16;
use std::sync::Arc;

use shared_window::{
    Access, DirectViews, RegionBudget, Upgrade, ViewSource, WindowOptions, WindowSize,
};
use virtiofsd::filesystem::{FileSystem, SerializableFileSystem};

use crate::config::{DaxPolicy, Fault, HostTruncate, MaxRegions};
use crate::device::{Session, SessionError, SessionOptions, SessionWindow};
use crate::metrics::Observer;

/// Why serving did not begin or did not end well.
pub type ServeError = SessionError;

/// How to serve.
pub struct Serving {
    /// Mount tag that the device shows, if it shows one; at most 36 bytes.
    pub tag: Option<String>,
    /// Request queues, beside the high priority queue; at most 63.
    pub request_queues: NonZeroU16,
    /// Threads that process requests; 0 for one thread a queue.
    pub thread_pool_size: usize,
    /// Whether the VMM is to tell each memory region that comes or goes.
    pub mem_slots: bool,
    /// Which files are named to the guest, where there is a window.
    pub dax: DaxPolicy,
    /// Who wants to know more than the counters.
    pub observer: Option<Arc<Observer>>,
    /// The window, if there is to be one.
    pub window: Option<WindowSetup>,
}

/// What a window is made of.
pub struct WindowSetup {
    size: WindowSize,
    views: Arc<dyn ViewSource>,
    /// Files are mapped as they are, by a VMM that leaves them so.
    plain: bool,
    /// What mappings allow the guest.
    access: Access,
    upgrade: Upgrade,
    budget: RegionBudget,
    host_truncate: HostTruncate,
}

impl WindowSetup {
    /// A window of this size under QEMU, which is given what `views` opens.
    pub fn new(size: WindowSize, views: impl ViewSource + 'static) -> Self {
        Self {
            size,
            views: Arc::new(views),
            plain: false,
            access: Access::ReadWrite,
            upgrade: Upgrade::InPlace,
            budget: RegionBudget::default(),
            host_truncate: HostTruncate::Allow,
        }
    }

    /// A window of this size under a VMM that maps files as they are, and keeps its guest from doing
    /// more than `access`. QEMU 11.1 does neither, and its guest has no DAX then.
    pub fn of_plain_files(size: WindowSize, access: Access) -> Self {
        Self {
            plain: true,
            access,
            ..Self::new(size, DirectViews)
        }
    }

    /// Whether what is mapped comes from the companion.
    #[must_use]
    pub fn has_views(&self) -> bool {
        !self.plain
    }

    /// The same under that rule for others: `views` keep to it, as long as there are any.
    #[must_use]
    pub fn with_host_truncate(self, host_truncate: HostTruncate) -> Self {
        Self {
            host_truncate,
            ..self
        }
    }

    /// The same in a VM that may have so many memory regions.
    #[must_use]
    pub fn within(self, regions: MaxRegions) -> Self {
        let limit = regions.limit().unwrap_or(usize::MAX);
        let budget = RegionBudget::new(RegionBudget::QEMU.min(limit));
        Self {
            budget: budget.with_mappings(regions.ranges().unwrap_or(usize::MAX)),
            ..self
        }
    }

    /// The same without one of its safeguards.
    #[must_use]
    pub fn with_fault(self, fault: Fault) -> Self {
        match fault {
            Fault::RemapOnUpgrade => Self {
                upgrade: Upgrade::Remap,
                ..self
            },
            Fault::DirectViews => Self {
                views: Arc::new(DirectViews),
                ..self
            },
            Fault::NoBudget => Self {
                budget: RegionBudget::new(usize::MAX),
                ..self
            },
        }
    }
}

/// Puts a back end on `fs`, which then serves one front end until that disconnects.
///
/// # Errors
/// When the threads that were asked for cannot be had.
pub fn prepare<F>(fs: F, serving: Serving) -> Result<Session<F, Arc<dyn ViewSource>>, ServeError>
where
    F: FileSystem + SerializableFileSystem + Send + Sync + 'static,
{
    let options = SessionOptions {
        tag: serving.tag,
        request_queues: serving.request_queues.get().into(),
        thread_pool_size: serving.thread_pool_size,
        mem_slots: serving.mem_slots,
        observer: serving.observer,
    };
    let window = serving.window.map(|window| SessionWindow {
        size: window.size,
        views: window.views,
        budget: window.budget,
        // A file that is mapped no more is to be as free as any other.
        keep_views: window.host_truncate == HostTruncate::Allow,
        plain: window.plain,
        options: WindowOptions {
            access: window.access,
            upgrade: window.upgrade,
            max_ranges: WindowOptions::linux_ranges(window.size),
            ..WindowOptions::default()
        },
        policy: serving.dax,
    });
    Session::new(fs, options, window)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

    use shared_window::ViewError;

    use super::*;

    /// Has no view of anything, which tells it from [`DirectViews`].
    struct NoViews;

    impl ViewSource for NoViews {
        fn open(&self, _file: BorrowedFd<'_>, _access: Access) -> Result<OwnedFd, ViewError> {
            Err(ViewError::ServerGone)
        }
    }

    #[test]
    fn each_fault_takes_away_its_own_safeguard() {
        let file = tempfile::tempfile().expect("a file");
        // Whether each safeguard is there: upgrades in place, views of its source, a budget.
        let safeguards = |faults: &[Fault]| {
            let size = WindowSize::new(2 << 20).expect("a power of two");
            let setup = faults
                .iter()
                .fold(WindowSetup::new(size, NoViews), |setup, fault| {
                    setup.with_fault(*fault)
                });
            (
                setup.upgrade == Upgrade::InPlace,
                setup.views.open(file.as_fd(), Access::ReadWrite).is_err(),
                setup.budget.limit() == RegionBudget::QEMU,
            )
        };
        use Fault::{DirectViews, NoBudget, RemapOnUpgrade};
        assert_eq!(safeguards(&[]), (true, true, true));
        assert_eq!(safeguards(&[RemapOnUpgrade]), (false, true, true));
        assert_eq!(safeguards(&[DirectViews]), (true, false, true));
        assert_eq!(safeguards(&[NoBudget]), (true, true, false));
        let all = [NoBudget, DirectViews, RemapOnUpgrade];
        assert_eq!(safeguards(&all), (false, false, false));
    }
}
