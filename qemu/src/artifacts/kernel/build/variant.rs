// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The kernels that are built here: a version of Linux, and perhaps a change of it.

use std::fmt;
use std::str::FromStr;

use super::base::Base;
use super::change::Change;
use super::mutant::Mutant;
use crate::artifacts::patch::Patch;

/// A kernel that is built from Debian's source, with this project's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuiltKernel {
    base: Base,
    change: Option<Change>,
}

/// A name of no kernel that is built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is none that is built; use {names}", names = BuiltKernel::names())]
pub struct NotBuilt;

impl BuiltKernel {
    /// `build:BASE`: Debian's source as it is.
    pub const fn stock(base: Base) -> Self {
        Self { base, change: None }
    }

    /// `build:6.12+seed`.
    pub(super) const fn seeded() -> Self {
        Self {
            base: Base::V6_12,
            change: Some(Change::Seed),
        }
    }

    /// `build:BASE+mutant-NAME`.
    pub fn mutant(mutant: &'static Mutant) -> Self {
        Self {
            base: mutant.base,
            change: Some(Change::Mutant(mutant)),
        }
    }

    /// All but the mutants.
    pub fn named() -> impl Iterator<Item = Self> {
        Base::ALL.into_iter().flat_map(|base| {
            let changed = Change::of(base).iter().map(|change| Some(*change));
            [None]
                .into_iter()
                .chain(changed)
                .map(move |change| Self { base, change })
        })
    }

    /// All mutants.
    pub fn mutants() -> impl Iterator<Item = Self> {
        Mutant::ALL.iter().map(Self::mutant)
    }

    /// The names, for messages. There are too many mutants to name each.
    pub(crate) fn names() -> String {
        let named = Self::named().map(|kernel| kernel.to_string());
        let mutants = Base::ALL.map(|base| format!("build:{}+mutant-NAME", base.name()));
        named.chain(mutants).collect::<Vec<_>>().join(", ")
    }

    /// The version that it is built from.
    pub fn base(self) -> Base {
        self.base
    }

    /// The patches, in the order in which they apply.
    pub fn patches(self) -> Vec<Patch> {
        self.change
            .map_or_else(Vec::new, |change| change.patches(self.base))
    }

    /// Options on top of the lab's, in lines.
    pub(super) fn options(self) -> &'static str {
        self.change.map_or("", Change::options)
    }

    /// The part behind the version in `uname -r`.
    pub fn local_version(self) -> String {
        match self.change {
            None => "-daxlab".to_owned(),
            Some(change) => format!("-daxlab-{}", change.name()),
        }
    }
}

/// The name on the command line.
impl fmt::Display for BuiltKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build:{}", self.base.name())?;
        match self.change {
            None => Ok(()),
            Some(change) => write!(f, "+{}", change.name()),
        }
    }
}

impl FromStr for BuiltKernel {
    type Err = NotBuilt;

    fn from_str(text: &str) -> Result<Self, NotBuilt> {
        Self::named()
            .chain(Self::mutants())
            .find(|kernel| kernel.to_string() == text)
            .ok_or(NotBuilt)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> impl Iterator<Item = BuiltKernel> {
        BuiltKernel::named().chain(BuiltKernel::mutants())
    }

    fn patch_names(kernel: &str) -> Vec<&'static str> {
        let kernel: BuiltKernel = kernel.parse().unwrap();
        kernel.patches().iter().map(|patch| patch.name).collect()
    }

    #[test]
    fn each_has_its_own_names_and_patches() {
        let labels: BTreeSet<_> = all().map(|kernel| kernel.to_string()).collect();
        assert_eq!(labels.len(), all().count());
        assert_eq!(patch_names("build:6.12"), Vec::<&str>::new());
        let seed = ["seed.patch", "seed-xfs-two-inodes.patch"];
        assert_eq!(patch_names("build:6.12+seed"), seed);
        assert_eq!(patch_names("build:6.12+nowait"), ["nowait.patch"]);
        assert_eq!(patch_names("build:7.3+nowake"), ["nowake.patch"]);
        assert_eq!("build:7.3+seed".parse::<BuiltKernel>(), Err(NotBuilt));
    }

    #[test]
    fn a_version_fits_in_what_uname_has() {
        for kernel in all() {
            let release = format!("{}.999{}", kernel.base.name(), kernel.local_version());
            assert!(release.len() < 64, "{release}");
        }
    }

    #[test]
    fn each_patch_says_its_licence_and_what_it_is_for_before_the_diff() {
        let is_local = |kernel: &BuiltKernel| kernel.change != Some(Change::Fixes);
        for kernel in BuiltKernel::named().filter(is_local) {
            for patch in kernel.patches() {
                let (header, diff) = patch.text.split_once("\ndiff -up ").unwrap();
                assert!(
                    header.starts_with("SPDX-License-Identifier: GPL-2.0-only\n\n"),
                    "{}",
                    patch.name
                );
                assert!(header.contains(kernel.base.name()), "{}", patch.name);
                assert!(diff.contains("\n@@ -"), "{}", patch.name);
            }
        }
    }

    #[test]
    fn each_file_system_is_in_seed_and_nowait_of_6_12() {
        for kernel in ["build:6.12+seed", "build:6.12+nowait"] {
            let patches = kernel.parse::<BuiltKernel>().unwrap().patches();
            let texts: String = patches.iter().map(|patch| patch.text).collect();
            for file in ["fs/ext4/inode.c", "fs/fuse/dax.c", "fs/xfs/xfs_inode.c"] {
                assert!(texts.contains(&format!("+++ b/{file}")), "{file}");
            }
        }
    }
}
