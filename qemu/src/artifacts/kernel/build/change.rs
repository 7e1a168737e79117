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
    /// `+fixes`: what the lab found is fixed.
    Fixes,
    /// `+debug`: the same source with options that check memory, locks and lists.
    Debug,
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

/// The patches of [`Change::Fixes`] for 7.3.
const FIXES: &[Patch] = &[
    patch!(
        "fixes",
        "0001-fuse-dax-do-not-return-a-range-that-somebody-else-ha.patch"
    ),
    patch!(
        "fixes",
        "0002-fuse-keep-the-pages-of-a-DAX-file-that-is-copied-to.patch"
    ),
    patch!(
        "fixes",
        "0003-fuse-keep-the-pages-of-a-DAX-file-that-may-have-chan.patch"
    ),
    patch!(
        "fixes",
        "0004-fuse-do-not-drop-pages-of-a-DAX-file-that-the-server.patch"
    ),
    patch!(
        "fixes",
        "0005-fuse-dax-ask-for-the-size-in-a-read-past-the-end.patch"
    ),
    patch!(
        "fixes",
        "0006-fuse-dax-take-another-range-instead-of-waiting-for-a.patch"
    ),
    patch!(
        "fixes",
        "0007-virtiofs-stop-the-reclaim-worker-before-any-super-bl.patch"
    ),
    patch!(
        "fixes",
        "0008-fs-dax-unmap-a-page-again-that-is-mapped-while-its-l.patch"
    ),
    patch!(
        "fixes",
        "0009-fuse-dax-move-mtime-when-a-file-is-written-to.patch"
    ),
    patch!(
        "fixes",
        "0010-fuse-dax-do-not-wait-for-pages-in-use-when-an-inode-.patch"
    ),
];

/// Those for 6.12. It has neither the bug of patch 8 nor the wait that patch 10 ends.
const FIXES_6_12: &[Patch] = &[
    patch!(
        "fixes",
        "0001-fuse-dax-do-not-return-a-range-that-somebody-else-ha.patch"
    ),
    patch!(
        "fixes/6.12",
        "0002-fuse-keep-the-pages-of-a-DAX-file-that-is-copied-to.patch"
    ),
    patch!(
        "fixes",
        "0003-fuse-keep-the-pages-of-a-DAX-file-that-may-have-chan.patch"
    ),
    patch!(
        "fixes/6.12",
        "0004-fuse-do-not-drop-pages-of-a-DAX-file-that-the-server.patch"
    ),
    patch!(
        "fixes",
        "0005-fuse-dax-ask-for-the-size-in-a-read-past-the-end.patch"
    ),
    patch!(
        "fixes/6.12",
        "0006-fuse-dax-take-another-range-instead-of-waiting-for-a.patch"
    ),
    patch!(
        "fixes/6.12",
        "0007-virtiofs-stop-the-reclaim-worker-before-any-super-bl.patch"
    ),
    patch!(
        "fixes/6.12",
        "0009-fuse-dax-move-mtime-when-a-file-is-written-to.patch"
    ),
];

impl Change {
    /// The changes of a version that are no mutants.
    pub(super) fn of(base: Base) -> &'static [Self] {
        match base {
            Base::V6_12 => &[
                Self::Seed,
                Self::Fixes,
                Self::Debug,
                Self::NoWait,
                Self::NoWake,
            ],
            Base::V7_3 => &[Self::Fixes, Self::Debug, Self::NoWait, Self::NoWake],
        }
    }

    /// Its name on the command line, behind the plus sign.
    pub(super) fn name(self) -> String {
        match self {
            Self::Seed => "seed".to_owned(),
            Self::Fixes => "fixes".to_owned(),
            Self::Debug => "debug".to_owned(),
            Self::NoWait => "nowait".to_owned(),
            Self::NoWake => "nowake".to_owned(),
            Self::Mutant(mutant) => format!("mutant-{}", mutant.name),
        }
    }

    /// Options on top of the lab's, in lines.
    pub(super) fn options(self) -> &'static str {
        match self {
            Self::Debug => include_str!("../../../../patches/linux/debug.config"),
            _ => "",
        }
    }

    /// The patches, in the order in which they apply to the source of `base`.
    pub(super) fn patches(self, base: Base) -> Vec<Patch> {
        match (self, base) {
            (Self::Seed, _) => SEED.to_vec(),
            (Self::Fixes, Base::V6_12) => FIXES_6_12.to_vec(),
            (Self::Fixes, Base::V7_3) => FIXES.to_vec(),
            (Self::Debug, _) => Vec::new(),
            (Self::NoWait, Base::V6_12) => vec![patch!("6.12", "nowait.patch")],
            (Self::NoWait, Base::V7_3) => vec![patch!("7.3", "nowait.patch")],
            (Self::NoWake, Base::V6_12) => vec![patch!("6.12", "nowake.patch")],
            (Self::NoWake, Base::V7_3) => vec![patch!("7.3", "nowake.patch")],
            (Self::Mutant(mutant), _) => mutant.patches(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_fix_of_the_folder_is_applied_in_order_and_says_how_to_see_it() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches/linux/fixes");
        let patches = |folder: &Path| {
            let mut there: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|end| end == "patch"))
                .map(|path| fs::read_to_string(path).unwrap())
                .collect();
            there.sort();
            there
        };
        let texts = |patches: &[Patch]| -> Vec<_> {
            let texts = patches.iter().map(|patch| patch.text.to_owned());
            texts.collect()
        };
        assert!(FIXES.is_sorted_by_key(|patch| patch.name));
        assert!(FIXES_6_12.is_sorted_by_key(|patch| patch.name));
        let mut all = texts(FIXES);
        all.sort();
        assert_eq!(all, patches(&folder));
        for own in patches(&folder.join("6.12")) {
            assert!(texts(FIXES_6_12).contains(&own), "{own}");
        }
        for Patch { name, text } in FIXES.iter().chain(FIXES_6_12) {
            let (message, _) = text.split_once("\n---\n").unwrap();
            for part in ["\nSubject: [PATCH", "\nSigned-off-by: ", "daxlab test "] {
                assert!(message.contains(part), "{name} lacks {part:?}");
            }
        }
    }
}
