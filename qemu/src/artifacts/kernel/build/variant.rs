// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernels that are built here, and their patches.

use crate::artifacts::patch::Patch;

/// The kernels that are built from Debian's source, with this project's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltKernel {
    /// `build:6.12`: Debian's source as it is.
    Stock,
    /// `build:6.12+seed`: removals from DAX files wait for pins only.
    Seed,
    /// `build:6.12+nowait`: removals wait for nothing. Broken on purpose.
    NoWait,
    /// `build:6.12+nowake`: removals wait, and are never woken. Broken on purpose.
    NoWake,
}

/// A file of the folder patches/linux.
macro_rules! patch {
    ($name:literal) => {
        Patch {
            name: $name,
            text: include_str!(concat!("../../../../patches/linux/", $name)),
        }
    };
}

impl BuiltKernel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stock, Self::Seed, Self::NoWait, Self::NoWake];

    /// Its name on the command line.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stock => "build:6.12",
            Self::Seed => "build:6.12+seed",
            Self::NoWait => "build:6.12+nowait",
            Self::NoWake => "build:6.12+nowake",
        }
    }

    /// The patches, in the order in which they apply.
    pub fn patches(self) -> &'static [Patch] {
        match self {
            Self::Stock => &[],
            Self::Seed => &[patch!("seed.patch"), patch!("seed-xfs-two-inodes.patch")],
            Self::NoWait => &[patch!("nowait.patch")],
            Self::NoWake => &[patch!("nowake.patch")],
        }
    }

    /// The part behind the version in `uname -r`.
    pub fn local_version(self) -> &'static str {
        match self {
            Self::Stock => "-daxlab",
            Self::Seed => "-daxlab-seed",
            Self::NoWait => "-daxlab-nowait",
            Self::NoWake => "-daxlab-nowake",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_its_own_names_and_patches() {
        let all = BuiltKernel::ALL;
        let labels: BTreeSet<_> = all.map(BuiltKernel::label).into();
        let versions: BTreeSet<_> = all.map(BuiltKernel::local_version).into();
        assert_eq!((labels.len(), versions.len()), (all.len(), all.len()));
        let names = |kernel: BuiltKernel| kernel.patches().iter().map(|patch| patch.name);
        assert_eq!(names(BuiltKernel::Stock).count(), 0);
        let seed: Vec<_> = names(BuiltKernel::Seed).collect();
        assert_eq!(seed, ["seed.patch", "seed-xfs-two-inodes.patch"]);
        assert!(names(BuiltKernel::NoWait).eq(["nowait.patch"]));
        assert!(names(BuiltKernel::NoWake).eq(["nowake.patch"]));
    }

    #[test]
    fn each_patch_says_its_licence_and_what_it_is_for_before_the_diff() {
        for patch in BuiltKernel::ALL.into_iter().flat_map(BuiltKernel::patches) {
            let (header, diff) = patch.text.split_once("\ndiff -up ").unwrap();
            assert!(
                header.starts_with("SPDX-License-Identifier: GPL-2.0-only\n\n"),
                "{}",
                patch.name
            );
            assert!(header.contains("6.12"), "{}", patch.name);
            assert!(diff.contains("\n@@ -"), "{}", patch.name);
        }
    }

    #[test]
    fn each_file_system_is_in_seed_and_nowait() {
        for kernel in [BuiltKernel::Seed, BuiltKernel::NoWait] {
            let texts: String = kernel.patches().iter().map(|patch| patch.text).collect();
            for file in ["fs/ext4/inode.c", "fs/fuse/dax.c", "fs/xfs/xfs_inode.c"] {
                assert!(texts.contains(&format!("+++ b/{file}")), "{file}");
            }
        }
    }
}
