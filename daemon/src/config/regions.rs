// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The number of memory regions that the VM's other devices can take.
//!
//! Each live mapping is a memory region of the VM, and a device with a table of regions has a
//! limit: for vhost-net, vhost-vsock and vhost-scsi it is that of the module `vhost`. QEMU goes on
//! when such a device refuses a longer table. The device then goes on with its old table, whose
//! addresses may belong to other memory by now.

use std::path::Path;

use super::RequestedSize;

/// The limit of the kernel's own vhost devices, on a host that has the module.
const OF_VHOST: &str = "/sys/module/vhost/parameters/max_mem_regions";

/// Regions that a VM has without a window: its memory below and above 4 GiB, firmware, graphics,
/// and a few that are plugged in.
const WITHOUT_A_WINDOW: usize = 8;

/// The memory regions that the VM may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxRegions {
    /// The operator's limit.
    Given(usize),
    /// The limit of the kernel's vhost devices on this host. Whether the VM has one is not known.
    OfVhost(usize),
    /// No limit but QEMU's.
    Unlimited,
}

impl MaxRegions {
    /// The limit by `--max-regions`, where 0 is no limit; without that option, by this host. To be
    /// called before the sandbox, which has no /sys.
    #[must_use]
    pub fn new(given: Option<usize>) -> Self {
        Self::of_host(given, Path::new(OF_VHOST))
    }

    fn of_host(given: Option<usize>, of_vhost: &Path) -> Self {
        match given {
            Some(0) => Self::Unlimited,
            Some(regions) => Self::Given(regions),
            None => std::fs::read_to_string(of_vhost)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .map_or(Self::Unlimited, Self::OfVhost),
        }
    }

    /// The number of regions, if there is a limit.
    #[must_use]
    pub fn limit(self) -> Option<usize> {
        match self {
            Self::Given(limit) | Self::OfVhost(limit) => Some(limit),
            Self::Unlimited => None,
        }
    }

    /// The ranges that a window may have mapped at a time, if there is a limit.
    #[must_use]
    pub fn ranges(self) -> Option<usize> {
        Some(self.limit()?.saturating_sub(WITHOUT_A_WINDOW))
    }

    /// The largest window of at most `size` that can be mapped completely; `None` if there is none.
    #[must_use]
    pub fn fit(self, size: RequestedSize) -> Option<RequestedSize> {
        let ranges = self.ranges().map_or(size.ranges(), |ranges| ranges as u64);
        let ranges = ranges.min(size.ranges());
        let bytes = RequestedSize::MIN.checked_mul(1 << ranges.checked_ilog2()?)?;
        RequestedSize::try_from(bytes).ok()
    }
}

impl std::fmt::Display for MaxRegions {
    /// The limit as the subject of a sentence.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(limit) => write!(f, "--max-regions={limit}"),
            Self::OfVhost(limit) => {
                write!(f, "max_mem_regions={limit} of this host's module vhost")
            }
            Self::Unlimited => f.write_str("no limit of memory regions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MaxRegions, Path, RequestedSize};

    fn fit(max: MaxRegions) -> Option<u64> {
        Some(max.fit(RequestedSize::DEFAULT)?.bytes() >> 20)
    }

    #[test]
    fn the_default_window_is_as_large_as_the_regions_allow() {
        assert_eq!(fit(MaxRegions::Unlimited), Some(512));
        for (regions, mebibytes) in [
            (0, None),
            (8, None),
            (9, Some(2)),
            (64, Some(64)),
            (135, Some(128)),
            (136, Some(256)),
            (263, Some(256)),
            (264, Some(512)),
            (usize::MAX, Some(512)),
        ] {
            assert_eq!(fit(MaxRegions::OfVhost(regions)), mebibytes, "{regions}");
        }
        assert_eq!(MaxRegions::Given(64).ranges(), Some(56));
    }

    #[test]
    fn the_operator_s_word_comes_before_the_host_s() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("max_mem_regions");
        let max = |given| MaxRegions::of_host(given, &file);
        assert_eq!(max(None), MaxRegions::Unlimited, "no such module");
        std::fs::write(&file, "64\n").unwrap();
        assert_eq!(max(None), MaxRegions::OfVhost(64));
        assert_eq!(max(Some(100)), MaxRegions::Given(100));
        assert_eq!(max(Some(0)), MaxRegions::Unlimited);
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(max(None), MaxRegions::Unlimited);
        assert_eq!(
            MaxRegions::of_host(None, Path::new("/")),
            MaxRegions::Unlimited
        );
    }
}
