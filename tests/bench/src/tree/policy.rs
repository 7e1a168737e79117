// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The sides: which files use the window, and file systems of the guest's own.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::{Dax, Share};

use crate::reclaim::Side;

/// The server of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// This project's daemon, with files of at least this size in the window.
    MinSize(ByteSize),
    /// This project's daemon with its own default.
    Default,
    /// This project's daemon without a window.
    Never,
    /// virtiofsd.
    Virtiofsd,
    /// A copy on ext4 with DAX, on virtio-pmem.
    Ext4,
    /// A copy on xfs with DAX, on virtio-pmem.
    Xfs,
    /// A copy in the guest's memory.
    Tmpfs,
}

/// The text is no policy.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no side: use default, never, virtiofsd, ext4, xfs, tmpfs, or a size such as 64K for \
     --dax-min-size"
)]
pub struct PolicyError(String);

impl Policy {
    /// The default sides.
    pub const ALL: [Self; 11] = [
        Self::Virtiofsd,
        Self::Never,
        Self::Default,
        Self::MinSize(ByteSize::mib(1)),
        Self::MinSize(ByteSize::new(128 << 10)),
        Self::MinSize(ByteSize::new(64 << 10)),
        Self::MinSize(ByteSize::new(16 << 10)),
        Self::MinSize(ByteSize::new(0)),
        Self::Ext4,
        Self::Xfs,
        Self::Tmpfs,
    ];
    /// The sides of a short run.
    pub const QUICK: [Self; 3] = [Self::Virtiofsd, Self::Never, Self::Default];

    /// Whether its guest has a window, so that the choice of QEMU matters.
    pub fn has_window(self) -> bool {
        matches!(self, Self::MinSize(_) | Self::Default)
    }

    /// The side of `bench reclaim` with the file system for a copy of the tree. `None` if the guest
    /// works on the share.
    pub(super) fn copy(self) -> Option<Side> {
        match self {
            Self::Ext4 => Some(Side::Ext4),
            Self::Xfs => Some(Side::Xfs),
            Self::Tmpfs => Some(Side::Tmpfs),
            _ => None,
        }
    }

    /// The settings of the share. A guest with a copy copies from it.
    pub(super) fn share(self, dir: &Path, window: ByteSize, virtiofsd: &Path) -> Share {
        let share = Share::new(dir, super::measure::TAG.parse().expect("a short tag"));
        let inode = |share: Share| Share {
            dax: Dax::Inode,
            ..share.with_window(window)
        };
        match self {
            Self::Virtiofsd => share.with_peer(virtiofsd),
            Self::Never | Self::Ext4 | Self::Xfs | Self::Tmpfs => share,
            Self::Default => inode(share),
            Self::MinSize(size) => Share {
                extra: vec!["--dax-min-size".into(), size.bytes().to_string().into()],
                ..inode(share)
            },
        }
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Ok(match text {
            "default" => Self::Default,
            "never" => Self::Never,
            "virtiofsd" => Self::Virtiofsd,
            "ext4" => Self::Ext4,
            "xfs" => Self::Xfs,
            "tmpfs" => Self::Tmpfs,
            size => match size.parse() {
                Ok(size) => Self::MinSize(size),
                Err(_) => return Err(PolicyError(text.to_owned())),
            },
        })
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinSize(size) if size.bytes() == 0 => f.write_str("min-0"),
            Self::MinSize(size) => write!(f, "min-{size}"),
            Self::Default => f.write_str("default"),
            Self::Never => f.write_str("never"),
            Self::Virtiofsd => f.write_str("virtiofsd"),
            Self::Ext4 => f.write_str("ext4-dax"),
            Self::Xfs => f.write_str("xfs-dax"),
            Self::Tmpfs => f.write_str("tmpfs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (text, name) in [
            ("0", "min-0"),
            ("64K", "min-64K"),
            ("never", "never"),
            ("xfs", "xfs-dax"),
        ] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), name);
        }
        let error = "often".parse::<Policy>().unwrap_err().to_string();
        assert!(error.contains("use default, never"), "{error}");
    }
}
