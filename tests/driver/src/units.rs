// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Number types that must not be mixed up.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $format:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    };
}

number!(
    /// The daemon's ID of a file, valid from LOOKUP to the last FORGET.
    NodeId,
    "node {}"
);
number!(
    /// The daemon's ID of an open file.
    Handle,
    "handle {}"
);
number!(
    /// An offset in a file, in bytes.
    FileOffset,
    "file offset {:#x}"
);
number!(
    /// An offset in the window, in bytes.
    WindowOffset,
    "window offset {:#x}"
);
number!(
    /// The number that a FUSE request and its reply share.
    Unique,
    "request {}"
);

impl NodeId {
    /// The root of the share.
    pub const ROOT: Self = Self(1);
}

impl Handle {
    /// The handle in a SETUPMAPPING of Linux, which sends none.
    pub const NONE: Self = Self(u64::MAX);
}

/// A virtqueue of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueIndex(pub usize);

impl QueueIndex {
    /// The queue for FORGET and INTERRUPT.
    pub const HIGH_PRIORITY: Self = Self(0);

    /// The request queue with this number, from 0 on.
    pub const fn request(number: usize) -> Self {
        Self(number + 1)
    }
}

impl fmt::Display for QueueIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("the high-priority queue"),
            number => write!(f, "request queue {}", number - 1),
        }
    }
}
