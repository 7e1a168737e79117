// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! All inputs of a kernel, and the artifact name that follows from them.

use super::base::Base;
use super::variant::BuiltKernel;
use crate::artifacts::patch::{self, Patch};

/// The options beyond `make tinyconfig`.
const FRAGMENT: &str = include_str!("../../../../patches/linux/fragment.config");

/// The options for a source of any version: it drops those that it does not know.
pub(in crate::artifacts::kernel) fn options_of_any_version() -> String {
    let renamed = Base::ALL.iter().flat_map(|base| base.renamed_options());
    renamed.fold(FRAGMENT.to_owned(), |text, (_, there)| text + there + "\n")
}

/// One kernel's ingredients.
#[derive(Clone, Debug)]
pub(super) struct Recipe<'a> {
    label: String,
    /// The version of the source package.
    version: &'a str,
    fragment: String,
    local_version: String,
    pub(super) patches: Vec<Patch>,
}

impl<'a> Recipe<'a> {
    /// The recipe of `which` with the source package of this version.
    pub(super) fn of(which: BuiltKernel, version: &'a str) -> Self {
        let renamed = which.base().renamed_options();
        let fragment = renamed
            .iter()
            .fold(FRAGMENT.to_owned(), |text, (here, there)| {
                text.replace(here, there)
            });
        Self {
            label: which.to_string(),
            version,
            fragment: fragment + which.options(),
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
        patch::digest([self.version, &self.options()], &self.patches)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn named(name: &str) -> BuiltKernel {
        name.parse().unwrap()
    }

    fn recipe() -> Recipe<'static> {
        Recipe::of(named("build:6.12+seed"), "6.12.1-1")
    }

    #[test]
    fn each_change_makes_another_kernel_of_the_same_prefix() {
        let patch = |text| vec![Patch { name: "x", text }];
        let recipes = [
            recipe(),
            Recipe {
                version: "6.12.1-2",
                ..recipe()
            },
            Recipe {
                fragment: "CONFIG_64BIT=y\n".to_owned(),
                ..recipe()
            },
            Recipe {
                local_version: "-x".to_owned(),
                ..recipe()
            },
            Recipe {
                patches: Vec::new(),
                ..recipe()
            },
            Recipe {
                patches: patch("one"),
                ..recipe()
            },
            Recipe {
                patches: patch("other"),
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
    fn a_version_has_its_own_names_for_options() {
        let has = |kernel, option: &str| {
            let options = Recipe::of(named(kernel), "1").options();
            options.lines().any(|line| line == option)
        };
        assert!(has("build:6.12", "CONFIG_PREEMPT_VOLUNTARY=y"));
        assert!(!has("build:7.3", "CONFIG_PREEMPT_VOLUNTARY=y"));
        assert!(has("build:7.3", "CONFIG_PREEMPT_LAZY=y"));
    }

    #[test]
    fn no_prefix_is_another_ones() {
        let all = || BuiltKernel::named().chain(BuiltKernel::mutants());
        let names: Vec<_> = all().map(|which| Recipe::of(which, "1").name()).collect();
        for which in all() {
            let prefix = Recipe::of(which, "1").prefix();
            let same = names.iter().filter(|name| name.starts_with(&prefix));
            assert_eq!(same.count(), 1, "{prefix}");
        }
    }
}
