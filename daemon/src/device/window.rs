// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a share with a window needs.

use std::sync::Arc;

use shared_window::{
    Access, DirectViews, RegionBudget, Upgrade, ViewSource, WindowOptions, WindowSize,
};

use crate::config::{DaxPolicy, Fault, HostTruncate, MaxRegions};

/// What a share with a window needs.
pub struct SessionWindow<S> {
    /// The size of the window.
    pub size: WindowSize,
    /// The source of views. A clone must be cheap.
    pub views: S,
    /// The limit of the VM's memory regions.
    pub budget: RegionBudget,
    /// The options of the window.
    pub options: WindowOptions,
    /// Which files are promised to the guest.
    pub policy: DaxPolicy,
    /// Whether views of recently mapped files are cached.
    pub keep_views: bool,
    /// `views` returns the files themselves. Nothing is mapped by a VMM that changes the files that
    /// it maps.
    pub plain: bool,
}

impl SessionWindow<Arc<dyn ViewSource>> {
    /// A window under QEMU, which gets the views that `views` opens.
    pub fn new(size: WindowSize, views: impl ViewSource + 'static, policy: DaxPolicy) -> Self {
        Self {
            size,
            views: Arc::new(views),
            budget: RegionBudget::default(),
            options: WindowOptions {
                max_ranges: WindowOptions::linux_ranges(size),
                ..WindowOptions::default()
            },
            policy,
            keep_views: true,
            plain: false,
        }
    }

    /// A window under a VMM that leaves mapped files as they are, and limits its guest to `access`.
    /// QEMU 11.1 does neither, so its guest has no DAX then.
    #[must_use]
    pub fn of_plain_files(size: WindowSize, access: Access, policy: DaxPolicy) -> Self {
        let mut window = Self::new(size, DirectViews, policy);
        window.plain = true;
        window.options.access = access;
        window
    }

    /// Sets the rule for other processes. `views` enforces it, as long as a view is open. A file
    /// that is no longer mapped has to be free again, so with `Refuse` views are not cached.
    #[must_use]
    pub fn with_host_truncate(self, host_truncate: HostTruncate) -> Self {
        Self {
            keep_views: host_truncate == HostTruncate::Allow,
            ..self
        }
    }

    /// Limits the VM's memory regions.
    #[must_use]
    pub fn within(self, regions: MaxRegions) -> Self {
        let limit = regions.limit().unwrap_or(usize::MAX);
        let budget = RegionBudget::new(RegionBudget::QEMU.min(limit));
        Self {
            budget: budget.with_mappings(regions.ranges().unwrap_or(usize::MAX)),
            ..self
        }
    }

    /// Removes one of the safeguards, for tests.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        match fault {
            Fault::RemapOnUpgrade => self.options.upgrade = Upgrade::Remap,
            Fault::DirectViews => self.views = Arc::new(DirectViews),
            Fault::NoBudget => self.budget = RegionBudget::new(usize::MAX),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

    use shared_window::ViewError;

    use super::*;
    use crate::config::DaxMode;

    /// Opens no view, which tells it from [`DirectViews`].
    struct NoViews;

    impl ViewSource for NoViews {
        fn open(&self, _file: BorrowedFd<'_>, _access: Access) -> Result<OwnedFd, ViewError> {
            Err(ViewError::ServerGone)
        }
    }

    #[test]
    fn each_fault_takes_away_its_own_safeguard() {
        let file = tempfile::tempfile().expect("a file");
        // Whether each safeguard is in place: upgrades in place, views of its source, a budget.
        let safeguards = |faults: &[Fault]| {
            let size = WindowSize::new(shared_window::LINUX_RANGE).expect("a power of two");
            let policy = DaxPolicy {
                mode: DaxMode::Always,
                min_size: 0,
            };
            let setup = faults
                .iter()
                .fold(SessionWindow::new(size, NoViews, policy), |setup, fault| {
                    setup.with_fault(*fault)
                });
            (
                setup.options.upgrade == Upgrade::InPlace,
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
