// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The sides: which files use the window.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use qemu_guest::machine::ByteSize;
use qemu_guest::process::{Dax, Share};

/// Who serves the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// This project's daemon, files of at least so many bytes in the window.
    MinSize(ByteSize),
    /// This project's daemon with its own default.
    Default,
    /// This project's daemon without a window.
    Never,
    /// virtiofsd.
    Virtiofsd,
}

/// What is no policy.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no side: use default, never, virtiofsd, or a size such as 64K for --dax-min-size"
)]
pub struct PolicyError(String);

impl Policy {
    /// Those that are compared where nothing is said.
    pub const ALL: [Self; 8] = [
        Self::Virtiofsd,
        Self::Never,
        Self::Default,
        Self::MinSize(ByteSize::mib(1)),
        Self::MinSize(ByteSize::new(128 << 10)),
        Self::MinSize(ByteSize::new(64 << 10)),
        Self::MinSize(ByteSize::new(16 << 10)),
        Self::MinSize(ByteSize::new(0)),
    ];
    /// A short run's.
    pub const QUICK: [Self; 3] = [Self::Virtiofsd, Self::Never, Self::Default];

    /// The share's description.
    pub(super) fn share(self, dir: &Path, window: ByteSize, virtiofsd: &Path) -> Share {
        let share = Share::new(dir, super::contestant::TAG.parse().expect("a short tag"));
        let inode = |share: Share| Share {
            dax: Dax::Inode,
            ..share.with_window(window)
        };
        match self {
            Self::Virtiofsd => share.with_peer(virtiofsd),
            Self::Never => share,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (text, name) in [("0", "min-0"), ("64K", "min-64K"), ("never", "never")] {
            assert_eq!(text.parse::<Policy>().unwrap().to_string(), name);
        }
        let error = "often".parse::<Policy>().unwrap_err().to_string();
        assert!(error.contains("use default, never"), "{error}");
    }
}
