// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The versions of Linux that kernels are built from.

use crate::artifacts::pool::PoolFile;

/// A version of Linux, as Debian has its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// 6.12, that of Debian 13.
    V6_12,
    /// 7.3, the newest in Debian's suites. Its layout breaking is that of 6.15 and newer.
    V7_3,
}

/// Where the source package comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The newest version in this suite, on the day that it is first needed.
    Suite(&'static str),
    /// This version, known by the digest of its file.
    Pool {
        version: &'static str,
        file: PoolFile,
    },
}

impl Base {
    /// All of them, the oldest first.
    pub const ALL: [Self; 2] = [Self::V6_12, Self::V7_3];

    /// The version's name: major and minor number.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V6_12 => "6.12",
            Self::V7_3 => "7.3",
        }
    }

    /// Where the package linux-source-NAME comes from. Suites such as backports drop a version when
    /// they have a newer one, so a version of such a suite is pinned.
    pub(super) const fn origin(self) -> Origin {
        match self {
            Self::V6_12 => Origin::Suite("trixie"),
            Self::V7_3 => Origin::Pool {
                version: "7.3.4-1~bpo13+1",
                file: PoolFile {
                    what: "the source of Linux 7.3",
                    place: "pool/main/l/linux/linux-source-7.3_7.3.4-1~bpo13+1_all.deb",
                    bytes: 166_780_612,
                    sha256: "703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3",
                },
            },
        }
    }

    /// Lines of fragment.config that are others in this version.
    pub(super) const fn renamed_options(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::V6_12 => &[],
            Self::V7_3 => &[
                ("CONFIG_PREEMPT_VOLUNTARY=y", "CONFIG_PREEMPT_LAZY=y"),
                ("CONFIG_PROC_SYSCTL=y", "CONFIG_SYSCTL=y"),
            ],
        }
    }
}
