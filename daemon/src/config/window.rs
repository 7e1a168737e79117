// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The operator's window size, and whether it was given explicitly.

use shared_window::LINUX_RANGE;

use super::DaxMode;

/// A valid value of `--dax-window`, in bytes: 0, or a power of two in the range that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedSize(u64);

impl RequestedSize {
    /// Smallest window: one of the ranges that Linux maps.
    pub const MIN: u64 = LINUX_RANGE;
    /// Largest window: the largest that was tried, with QEMU 11.1 and Linux 6.12.
    pub const MAX: u64 = 64 << 30;
    /// The size without `--dax-window`: 256 ranges. `tests/reclaim/docs/reclaim.md` has
    /// measurements of other sizes.
    pub const DEFAULT: Self = Self(512 << 20);
    /// The default with `--mem-slots`: 128 ranges, so that three shares of one VM stay below QEMU's
    /// limit of 512 memory regions with everything mapped.
    pub const DEFAULT_WITH_MEM_SLOTS: Self = Self(256 << 20);
    /// Above this the window's ranges alone come close to the limit that QEMU has with
    /// `--mem-slots`.
    pub const UNWISE_ABOVE: u64 = 512 << 20;

    /// The number of ranges that Linux can map in the window.
    #[must_use]
    pub fn ranges(self) -> u64 {
        self.0 / Self::MIN
    }

    /// The size in bytes; 0 means no window.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for RequestedSize {
    type Error = WindowSizeError;

    fn try_from(bytes: u64) -> Result<Self, WindowSizeError> {
        match bytes {
            0 => Ok(Self(0)),
            Self::MIN..=Self::MAX if bytes.is_power_of_two() => Ok(Self(bytes)),
            Self::MIN..=Self::MAX => Err(WindowSizeError::NotPowerOfTwo {
                below: 1 << bytes.ilog2(),
                above: bytes.next_power_of_two(),
            }),
            _ => Err(WindowSizeError::OutOfRange),
        }
    }
}

/// Why a number of bytes is no window size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowSizeError {
    /// QEMU aborts on such a PCI region.
    #[error("the window's size must be a power of two; the nearest are {below} and {above}")]
    NotPowerOfTwo {
        /// The next smaller size, in bytes.
        below: u64,
        /// The next larger size, in bytes.
        above: u64,
    },
    /// Too small for one range, or larger than QEMU is known to take.
    #[error("the window's size must be 0 (no window) or from 2M to 64G")]
    OutOfRange,
}

/// The window of the command line, before share and host are taken into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowRequest {
    /// None: `--dax-window 0` or `--dax never`.
    Off,
    /// One of the default size, if that is possible.
    Default(RequestedSize),
    /// A window of the operator's size. The operator must be told if it is not granted.
    Explicit(RequestedSize),
}

impl WindowRequest {
    /// Combines `--dax-window`, if it was given, `--dax`, and `--mem-slots`.
    #[must_use]
    pub fn new(size: Option<RequestedSize>, mode: DaxMode, mem_slots: bool) -> Self {
        match (size, mode) {
            (_, DaxMode::Never) => Self::Off,
            (Some(size), _) if size.bytes() == 0 => Self::Off,
            (Some(size), _) => Self::Explicit(size),
            (None, _) if mem_slots => Self::Default(RequestedSize::DEFAULT_WITH_MEM_SLOTS),
            (None, _) => Self::Default(RequestedSize::DEFAULT),
        }
    }

    /// Whether the operator asked for it.
    #[must_use]
    pub fn is_explicit(self) -> bool {
        matches!(self, Self::Explicit(_))
    }

    /// The size, if any window is wanted.
    #[must_use]
    pub fn size(self) -> Option<RequestedSize> {
        match self {
            Self::Off => None,
            Self::Default(size) | Self::Explicit(size) => Some(size),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_window::LINUX_RANGE;

    use super::{RequestedSize, WindowRequest, WindowSizeError};
    use crate::config::DaxMode;

    #[test]
    fn only_powers_of_two_in_range_are_sizes() {
        let ok = [0, LINUX_RANGE, 16 << 20, 256 << 20, 1 << 30, 64 << 30];
        for bytes in ok {
            assert_eq!(RequestedSize::try_from(bytes).unwrap().bytes(), bytes);
        }
        for bytes in [1, 4096, 1 << 20, LINUX_RANGE - 1, 128 << 30, u64::MAX] {
            assert_eq!(
                RequestedSize::try_from(bytes),
                Err(WindowSizeError::OutOfRange),
                "{bytes}"
            );
        }
        assert_eq!(
            RequestedSize::try_from(300 << 20),
            Err(WindowSizeError::NotPowerOfTwo {
                below: 256 << 20,
                above: 512 << 20
            })
        );
    }

    #[test]
    fn no_window_without_dax() {
        let size = RequestedSize::try_from(16 << 20).unwrap();
        let none = RequestedSize::try_from(0).unwrap();
        let table = [
            (Some(size), DaxMode::Always, Some(size)),
            (Some(none), DaxMode::Always, None),
            (Some(size), DaxMode::Never, None),
            (None, DaxMode::Never, None),
        ];
        for (given, mode, expected) in table {
            for mem_slots in [false, true] {
                let request = WindowRequest::new(given, mode, mem_slots);
                assert_eq!(request.size(), expected);
            }
        }
    }

    #[test]
    fn three_default_windows_with_mem_slots_stay_below_qemu_s_limit() {
        let of = |mem_slots| {
            let size = WindowRequest::new(None, DaxMode::Inode, mem_slots).size();
            size.map(RequestedSize::ranges)
        };
        assert_eq!((of(false), of(true)), (Some(256), Some(128)));
        let most = shared_window::RegionBudget::QEMU as u64;
        assert!(of(true).is_some_and(|ranges| 3 * ranges < most));
    }
}
