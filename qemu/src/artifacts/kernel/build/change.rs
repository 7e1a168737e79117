// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What is changed in a version of Linux: its patches (the folder patches/linux).

use super::base::Base;
use super::mutant::Mutant;
use crate::artifacts::patch::Patch;

/// A change of a version's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// `+seed`: removals from DAX files wait for pins only.
    Seed,
    /// `+nowait`: removals wait for nothing. Broken on purpose.
    NoWait,
    /// `+nowake`: removals wait, and are never woken. Broken on purpose.
    NoWake,
    /// `+mutant-NAME`: one hunk of the layout breaking is missing. Broken on purpose.
    Mutant(&'static Mutant),
}

/// A file of the folder patches/linux/BASE.
macro_rules! patch {
    ($base:literal, $name:literal) => {
        Patch {
            name: $name,
            text: include_str!(concat!("../../../../patches/linux/", $base, "/", $name)),
        }
    };
}

/// The patches of [`Change::Seed`].
pub(super) const SEED: &[Patch] = &[
    patch!("6.12", "seed.patch"),
    patch!("6.12", "seed-xfs-two-inodes.patch"),
];

impl Change {
    /// The changes of a version that are no mutants.
    pub(super) fn of(base: Base) -> &'static [Self] {
        match base {
            Base::V6_12 => &[Self::Seed, Self::NoWait, Self::NoWake],
            Base::V7_3 => &[Self::NoWait, Self::NoWake],
        }
    }

    /// Its name on the command line, behind the plus sign.
    pub(super) fn name(self) -> String {
        match self {
            Self::Seed => "seed".to_owned(),
            Self::NoWait => "nowait".to_owned(),
            Self::NoWake => "nowake".to_owned(),
            Self::Mutant(mutant) => format!("mutant-{}", mutant.name),
        }
    }

    /// The patches, in the order in which they apply to the source of `base`.
    pub(super) fn patches(self, base: Base) -> Vec<Patch> {
        match (self, base) {
            (Self::Seed, _) => SEED.to_vec(),
            (Self::NoWait, Base::V6_12) => vec![patch!("6.12", "nowait.patch")],
            (Self::NoWait, Base::V7_3) => vec![patch!("7.3", "nowait.patch")],
            (Self::NoWake, Base::V6_12) => vec![patch!("6.12", "nowake.patch")],
            (Self::NoWake, Base::V7_3) => vec![patch!("7.3", "nowake.patch")],
            (Self::Mutant(mutant), _) => mutant.patches(),
        }
    }
}
