// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! All inputs of a kernel, and the artifact name that follows from them.

use super::variant::BuiltKernel;
use crate::artifacts::patch::{self, Patch};

/// The options beyond `make tinyconfig`.
const FRAGMENT: &str = include_str!("../../../../patches/linux/fragment.config");

/// One kernel's ingredients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recipe<'a> {
    label: &'static str,
    /// The version of the source package.
    version: &'a str,
    fragment: &'a str,
    local_version: &'a str,
    pub(super) patches: &'a [Patch],
}

impl<'a> Recipe<'a> {
    /// The recipe of `which` with the source package of this version.
    pub(super) fn of(which: BuiltKernel, version: &'a str) -> Self {
        Self {
            label: which.label(),
            version,
            fragment: FRAGMENT,
            local_version: which.local_version(),
            patches: which.patches(),
        }
    }

    /// The options beyond `make tinyconfig`, the name of the kernel among them.
    pub(super) fn options(&self) -> String {
        let Self {
            fragment,
            local_version,
            ..
        } = self;
        format!("{fragment}CONFIG_LOCALVERSION=\"{local_version}\"\n")
    }

    /// The common prefix of the artifact names of this variant's kernels.
    pub(super) fn prefix(&self) -> String {
        format!("kernel-{}-", self.label.replace(':', "-"))
    }

    /// The artifact's name.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.prefix(), self.digest())
    }

    /// A digest of all inputs.
    pub(super) fn digest(&self) -> String {
        patch::digest([self.version, &self.options()], self.patches)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn recipe() -> Recipe<'static> {
        Recipe::of(BuiltKernel::Seed, "6.12.1-1")
    }

    #[test]
    fn each_change_makes_another_kernel_of_the_same_prefix() {
        let patch = |text| Patch { name: "x", text };
        let (one, other) = ([patch("one")], [patch("other")]);
        let recipes = [
            recipe(),
            Recipe {
                version: "6.12.1-2",
                ..recipe()
            },
            Recipe {
                fragment: "CONFIG_64BIT=y\n",
                ..recipe()
            },
            Recipe {
                local_version: "-x",
                ..recipe()
            },
            Recipe {
                patches: &[],
                ..recipe()
            },
            Recipe {
                patches: &one,
                ..recipe()
            },
            Recipe {
                patches: &other,
                ..recipe()
            },
        ];
        let names: BTreeSet<_> = recipes.iter().map(Recipe::name).collect();
        assert_eq!(names.len(), recipes.len());
        for name in names {
            assert!(name.starts_with("kernel-build-6.12+seed-"), "{name}");
        }
    }

    #[test]
    fn the_same_ingredients_make_the_same_kernel() {
        assert_eq!(recipe().name(), recipe().name());
    }

    #[test]
    fn no_prefix_is_another_ones() {
        for which in BuiltKernel::ALL {
            let prefix = Recipe::of(which, "1").prefix();
            let same = BuiltKernel::ALL.map(|other| Recipe::of(other, "1").name());
            let same = same.iter().filter(|name| name.starts_with(&prefix));
            assert_eq!(same.count(), 1, "{prefix}");
        }
    }
}
