// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The sides.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use dax_cases::host::FileSystem;
use guest_agent::workload::Access;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::{Cache, Share};

/// The share's tag.
const TAG: &str = "files";
/// The guest's persistent memory.
const PMEM: &str = "/dev/pmem0";
/// The part of the guest's memory that tmpfs may take.
const TMPFS: &str = "size=80%";

/// The server of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This project's daemon with a window of this size.
    Window(ByteSize),
    /// This project's daemon without a window.
    NoWindow,
    /// virtiofsd with one of its cache policies.
    Virtiofsd(Cache),
    /// ext4 with DAX on virtio-pmem.
    Ext4,
    /// xfs with DAX on virtio-pmem.
    Xfs,
    /// ext4 with DAX on virtio-pmem: one read-only image for all guests.
    Image,
    /// tmpfs in the guest's own memory.
    Tmpfs,
}

/// The name is not a side's.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no side: use window, none, virtiofsd-auto, virtiofsd-always, virtiofsd-never, ext4, \
     xfs or tmpfs"
)]
pub struct SideError(String);

/// The sides by their names on the command line; `window` stands for those of all sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SideKind {
    /// [`Side::Window`] in each size.
    Windows,
    /// Another side.
    One(Side),
}

impl SideKind {
    /// All names, in the order of their turns.
    pub const ALL: [Self; 8] = [
        Self::Windows,
        Self::One(Side::NoWindow),
        Self::One(Side::Virtiofsd(Cache::Auto)),
        Self::One(Side::Virtiofsd(Cache::Always)),
        Self::One(Side::Virtiofsd(Cache::Never)),
        Self::One(Side::Ext4),
        Self::One(Side::Xfs),
        Self::One(Side::Tmpfs),
    ];

    /// The sides of this name.
    pub fn sides(self, windows: &[ByteSize]) -> Vec<Side> {
        match self {
            Self::Windows => windows.iter().copied().map(Side::Window).collect(),
            Self::One(side) => vec![side],
        }
    }
}

impl FromStr for SideKind {
    type Err = SideError;

    fn from_str(text: &str) -> Result<Self, SideError> {
        Ok(Self::One(match text {
            "window" => return Ok(Self::Windows),
            "none" => Side::NoWindow,
            "virtiofsd-auto" => Side::Virtiofsd(Cache::Auto),
            "virtiofsd-always" => Side::Virtiofsd(Cache::Always),
            "virtiofsd-never" => Side::Virtiofsd(Cache::Never),
            "ext4" => Side::Ext4,
            "xfs" => Side::Xfs,
            "tmpfs" => Side::Tmpfs,
            _ => return Err(SideError(text.to_owned())),
        }))
    }
}

impl Side {
    /// A description for the report.
    pub fn about(self) -> String {
        match self {
            Self::Window(size) => format!("virtiofs-daxd, a window of {size}, --dax always"),
            Self::NoWindow => "virtiofs-daxd without a window, on vhost-user-fs-pci".to_owned(),
            Self::Virtiofsd(_) => "virtiofsd 1.14, on vhost-user-fs-pci".to_owned(),
            Self::Ext4 => "ext4 -o dax=always on virtio-pmem".to_owned(),
            Self::Xfs => "xfs -o dax=always on virtio-pmem".to_owned(),
            Self::Image => "ext4 -o ro,dax=always on virtio-pmem, one image for all".to_owned(),
            Self::Tmpfs => "tmpfs in the guest: no host file, the limit".to_owned(),
        }
    }

    /// The size of the window, if the side has one.
    pub fn window(self) -> Option<ByteSize> {
        match self {
            Self::Window(size) => Some(size),
            _ => None,
        }
    }

    /// Whether files can be accessed in this way. Files that the guest may not cache at all can't
    /// be mapped shared (`FOPEN_DIRECT_IO`).
    pub fn can(self, access: Access) -> bool {
        !(access.is_mapped() && self == Self::Virtiofsd(Cache::Never))
    }

    /// The file system of its own image, on virtio-pmem.
    pub(crate) fn image(self) -> Option<FileSystem> {
        match self {
            Self::Ext4 => Some(FileSystem::Ext4),
            Self::Xfs => Some(FileSystem::Xfs),
            _ => None,
        }
    }

    /// The guest's file system: the source to mount, its type and its options.
    pub(crate) fn file_system(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Window(_) => (TAG, "virtiofs", "dax=inode"),
            Self::NoWindow | Self::Virtiofsd(_) => (TAG, "virtiofs", ""),
            Self::Ext4 => (PMEM, "ext4", "dax=always"),
            Self::Xfs => (PMEM, "xfs", "dax=always"),
            // Several guests use the image, so none may write to it, not even to its journal.
            Self::Image => (PMEM, "ext4", "ro,noload,dax=always"),
            Self::Tmpfs => ("tmpfs", "tmpfs", TMPFS),
        }
    }

    /// Whether the guest sees the host's files.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Window(_) | Self::NoWindow | Self::Virtiofsd(_))
    }

    /// The settings of the share, if the side has one.
    pub(super) fn share(
        self,
        dir: &Path,
        virtiofsd: &Path,
        metrics: Option<&Path>,
    ) -> Option<Share> {
        let mut share = Share::new(dir, TAG.parse().expect("a short tag"));
        if let Some(path) = metrics {
            share.extra = vec!["--metrics".into(), path.into()];
        }
        match self {
            Self::Window(size) => Some(share.with_window(size)),
            Self::NoWindow => Some(share),
            Self::Virtiofsd(cache) => Some(Share {
                cache,
                ..share.with_peer(virtiofsd)
            }),
            Self::Ext4 | Self::Xfs | Self::Image | Self::Tmpfs => None,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(size) => write!(f, "daxd-{size}"),
            Self::NoWindow => f.write_str("daxd-none"),
            Self::Virtiofsd(Cache::Auto) => f.write_str("virtiofsd-auto"),
            Self::Virtiofsd(Cache::Always) => f.write_str("virtiofsd-always"),
            Self::Virtiofsd(Cache::Metadata) => f.write_str("virtiofsd-metadata"),
            Self::Virtiofsd(Cache::Never) => f.write_str("virtiofsd-never"),
            Self::Ext4 => f.write_str("ext4-dax"),
            Self::Xfs => f.write_str("xfs-dax"),
            Self::Image => f.write_str("virtio-pmem"),
            Self::Tmpfs => f.write_str("tmpfs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let windows = [ByteSize::mib(16), ByteSize::mib(64)];
        let sides = |text: &str| -> Vec<String> {
            let kind: SideKind = text.parse().unwrap();
            kind.sides(&windows).iter().map(Side::to_string).collect()
        };
        assert_eq!(sides("window"), ["daxd-16M", "daxd-64M"]);
        assert_eq!(sides("virtiofsd-never"), ["virtiofsd-never"]);
        let never = Side::Virtiofsd(Cache::Never);
        assert!(never.can(Access::Read) && !never.can(Access::Load));
        let error = "btrfs".parse::<SideKind>().unwrap_err().to_string();
        assert!(error.contains("use window, none"), "{error}");
    }
}
