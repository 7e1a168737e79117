// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Mutants: kernels in which one hunk of the layout breaking is wrong, so that it shows which cells
//! of the lab notice it.
//!
//! A mutant is one file of the folder patches/linux/mutants/BASE: its licence, fields, and the diff.
//!
//! ```text
//! Mutant: SENTENCE   what is wrong
//! Place: FUNCTION    where the hunk is
//! Cells: CASE …      the cases that could notice it; without this field, the core matrix
//! Missed: REASON     why no case notices it, if that is known
//! ```
//!
//! A line that begins with a space continues a field. A change of these words builds no other kernel:
//! the digest covers the diff.

use super::base::Base;
use super::change::SEED;
use super::variant::BuiltKernel;
use crate::artifacts::patch::Patch;

/// A kernel with one wrong hunk.
#[derive(Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The version that the hunk is in.
    pub base: Base,
    /// Its name, behind `+mutant-`.
    pub name: &'static str,
    /// The patches that apply first.
    under: &'static [Patch],
    text: &'static str,
}

/// Where the diff begins.
const DIFF: &str = "\ndiff -up ";
/// No patches.
const NONE: &[Patch] = &[];

impl Mutant {
    /// What is wrong, in one sentence.
    pub fn title(&self) -> String {
        self.field("Mutant").unwrap_or_default()
    }

    /// The cases that could notice it; none for those of the core matrix.
    pub fn cells(&self) -> Vec<String> {
        let cells = self.field("Cells").unwrap_or_default();
        let names = cells.split_whitespace().map(str::to_owned);
        names.collect()
    }

    /// The function with the hunk.
    pub fn place(&self) -> String {
        self.field("Place").unwrap_or_default()
    }

    /// Why no cell can notice it, if that is known.
    pub fn missed(&self) -> Option<String> {
        self.field("Missed")
    }

    /// The kernel that it was made from.
    pub fn original(&self) -> BuiltKernel {
        match self.under {
            [] => BuiltKernel::stock(self.base),
            _ => BuiltKernel::seeded(),
        }
    }

    pub(super) fn patches(&self) -> Vec<Patch> {
        let (header, _) = self.halves();
        let own = Patch {
            name: "mutant.patch",
            text: &self.text[header.len() + 1..],
        };
        self.under.iter().copied().chain([own]).collect()
    }

    /// A field's words. A line that begins with a space continues it.
    fn field(&self, name: &str) -> Option<String> {
        let (header, _) = self.halves();
        let start = format!("\n{name}: ");
        let (_, rest) = header.split_once(&start)?;
        let mut lines = rest.lines();
        let first = lines.next()?.trim();
        let others = lines
            .take_while(|line| line.starts_with(' '))
            .map(str::trim);
        Some(
            [first]
                .into_iter()
                .chain(others)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    fn halves(&self) -> (&'static str, &'static str) {
        self.text.split_once(DIFF).unwrap_or((self.text, ""))
    }
}

/// A file of the folder patches/linux/mutants/BASE.
macro_rules! mutant {
    ($variant:ident, $base:literal, $name:literal, $under:expr) => {
        Mutant {
            base: Base::$variant,
            name: $name,
            under: $under,
            text: include_str!(concat!(
                "../../../../patches/linux/mutants/",
                $base,
                "/",
                $name,
                ".patch"
            )),
        }
    };
}

impl Mutant {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        mutant!(V6_12, "6.12", "busy-off-by-one", NONE),
        mutant!(V6_12, "6.12", "ext4-break-layouts", NONE),
        mutant!(V6_12, "6.12", "ext4-fallocate", NONE),
        mutant!(V6_12, "6.12", "ext4-setattr", NONE),
        mutant!(V6_12, "6.12", "folios-put-wake", NONE),
        mutant!(V6_12, "6.12", "fuse-open-trunc", NONE),
        mutant!(V6_12, "6.12", "fuse-page-0-only", NONE),
        mutant!(V6_12, "6.12", "fuse-punch", NONE),
        mutant!(V6_12, "6.12", "fuse-reclaim-inline", NONE),
        mutant!(V6_12, "6.12", "fuse-reclaim-whole-file", NONE),
        mutant!(V6_12, "6.12", "fuse-reclaim-worker", NONE),
        mutant!(V6_12, "6.12", "fuse-setattr", NONE),
        mutant!(V6_12, "6.12", "large-entry-idle", NONE),
        mutant!(V6_12, "6.12", "locked-entry-skipped", NONE),
        mutant!(V6_12, "6.12", "no-rescan", NONE),
        mutant!(V6_12, "6.12", "put-page-wake", NONE),
        mutant!(V6_12, "6.12", "range-first-page", NONE),
        mutant!(V6_12, "6.12", "range-last-page", NONE),
        mutant!(V6_12, "6.12", "scan-first-entry", NONE),
        mutant!(V6_12, "6.12", "seed-warn", SEED),
        mutant!(V6_12, "6.12", "signal-proceeds", NONE),
        mutant!(V6_12, "6.12", "unkillable", NONE),
        mutant!(V6_12, "6.12", "unpin-wake", NONE),
        mutant!(V6_12, "6.12", "wait-timeout", NONE),
        mutant!(V6_12, "6.12", "wake-always", NONE),
        mutant!(V6_12, "6.12", "xfs-break-layouts", NONE),
        mutant!(V6_12, "6.12", "xfs-second-inode", NONE),
        mutant!(V7_3, "7.3", "busy-off-by-one", NONE),
        mutant!(V7_3, "7.3", "evict-no-wait", NONE),
        mutant!(V7_3, "7.3", "ext4-break-layouts", NONE),
        mutant!(V7_3, "7.3", "ext4-fallocate", NONE),
        mutant!(V7_3, "7.3", "ext4-setattr", NONE),
        mutant!(V7_3, "7.3", "folios-put-wake", NONE),
        mutant!(V7_3, "7.3", "fuse-open-trunc", NONE),
        mutant!(V7_3, "7.3", "fuse-page-0-only", NONE),
        mutant!(V7_3, "7.3", "fuse-punch", NONE),
        mutant!(V7_3, "7.3", "fuse-reclaim-inline", NONE),
        mutant!(V7_3, "7.3", "fuse-reclaim-whole-file", NONE),
        mutant!(V7_3, "7.3", "fuse-reclaim-worker", NONE),
        mutant!(V7_3, "7.3", "fuse-setattr", NONE),
        mutant!(V7_3, "7.3", "large-entry-idle", NONE),
        mutant!(V7_3, "7.3", "locked-entry-skipped", NONE),
        mutant!(V7_3, "7.3", "no-rescan", NONE),
        mutant!(V7_3, "7.3", "put-page-wake", NONE),
        mutant!(V7_3, "7.3", "range-first-page", NONE),
        mutant!(V7_3, "7.3", "range-last-page", NONE),
        mutant!(V7_3, "7.3", "scan-first-entry", NONE),
        mutant!(V7_3, "7.3", "signal-proceeds", NONE),
        mutant!(V7_3, "7.3", "unkillable", NONE),
        mutant!(V7_3, "7.3", "unpin-wake", NONE),
        mutant!(V7_3, "7.3", "wait-timeout", NONE),
        mutant!(V7_3, "7.3", "wake-always", NONE),
        mutant!(V7_3, "7.3", "xfs-break-layouts", NONE),
        mutant!(V7_3, "7.3", "xfs-second-inode", NONE),
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_file_of_the_folder_is_a_mutant() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches/linux/mutants");
        for base in Base::ALL {
            let files = fs::read_dir(folder.join(base.name())).unwrap();
            let files: BTreeSet<String> = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            let known = Mutant::ALL.iter().filter(|mutant| mutant.base == base);
            let known: BTreeSet<_> = known
                .map(|mutant| format!("{}.patch", mutant.name))
                .collect();
            assert_eq!(files, known);
        }
    }

    #[test]
    fn each_says_its_licence_and_what_is_wrong_and_has_one_hunk() {
        for mutant in Mutant::ALL {
            let (header, diff) = mutant.halves();
            let licence = "SPDX-License-Identifier: GPL-2.0-only\n\n";
            assert!(header.starts_with(licence), "{}", mutant.name);
            assert!(mutant.title().ends_with('.'), "{}", mutant.name);
            assert!(!mutant.place().is_empty(), "{}", mutant.name);
            assert_eq!(diff.matches("\n@@ -").count(), 1, "{}", mutant.name);
        }
    }

    #[test]
    fn words_that_change_build_no_other_kernel() {
        const DIFF: &str = "\n\ndiff -up a/x b/x\n@@ -1 +1 @@\n-a\n+b\n";
        let mutant = |text| Mutant {
            base: Base::V7_3,
            name: "x",
            under: SEED,
            text,
        };
        let short = mutant(concat!(
            "GPL\n\nMutant: A.\nPlace: f",
            "\n\ndiff -up a/x b/x\n@@ -1 +1 @@\n-a\n+b\n"
        ));
        let long = mutant(concat!(
            "GPL\n\nMutant: A\n  b.\nCells: c\n  d\nMissed: no\n  case\n",
            "\n\ndiff -up a/x b/x\n@@ -1 +1 @@\n-a\n+b\n"
        ));
        assert_eq!(short.patches(), long.patches());
        assert_eq!(short.patches().len(), SEED.len() + 1);
        assert_eq!(long.patches()[2].text, &DIFF[2..]);
        assert_eq!(
            (long.title(), long.cells()),
            ("A b.".into(), vec!["c".into(), "d".into()])
        );
        assert_eq!(
            (short.missed(), long.missed()),
            (None, Some("no case".into()))
        );
    }
}
