// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The tests, a file for each group.

mod budget;
mod confinement;
mod data;
mod everyday;
mod faults;
mod fsx;
mod guard;
mod kernels;
mod life;
mod metrics;
mod migration;
mod one_region;
mod policy;
mod posix;
mod pressure;
mod read_only;
mod reclaim;
mod restart;
mod share_command;
mod share_options;
mod share_root;
mod share_shell;
mod test_command;
mod upgrade;

use crate::scenario::Group;

/// The groups that run on any QEMU, in the order of their start. Long groups come first, so that no
/// long group runs alone at the end.
pub fn all() -> &'static [Group] {
    &[
        budget::GROUP,
        everyday::GROUP,
        life::GROUP,
        posix::GROUP,
        everyday::TWO_GUESTS,
        pressure::GROUP,
        fsx::GROUP,
        upgrade::GROUP,
        guard::WITHOUT,
        guard::GROUP,
        reclaim::GROUP,
        test_command::GROUP,
        confinement::GROUP,
        confinement::OTHER_USERS,
        faults::GROUP,
        kernels::GROUP,
        share_command::GROUP,
        share_options::GROUP,
        share_root::GROUP,
        share_shell::GROUP,
        migration::GROUP,
        data::GROUP,
        policy::GROUP,
        read_only::GROUP,
        restart::GROUP,
        metrics::GROUP,
    ]
}

/// The groups that need a QEMU whose window is one memory region.
pub fn of_one_region() -> &'static [Group] {
    &[one_region::GROUP]
}

/// Tests for any QEMU that have another outcome if a window is one memory region.
const DIFFERENT: [&str; 12] = [
    "budget::a_full_table",
    "budget::a_thousand_ranges",
    "faults::direct_views_are_caught",
    "guard::",
    "life::a_page_of_a_truncated_file",
    "life::a_reset_with_memory_slots",
    "life::a_stop_while_mappings_are_made",
    "life::a_stop_with_many_mappings",
    "life::resets_with_live_mappings",
    "read_only::",
    "restart::",
    "upgrade::",
];

/// Whether a test needs such a QEMU, or has another outcome on it.
pub fn depends_on_one_region(name: &str) -> bool {
    let needs = of_one_region()
        .iter()
        .any(|group| name.starts_with(group.name));
    needs || DIFFERENT.iter().any(|part| name.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::names;

    #[test]
    fn what_is_different_is_there() {
        for part in DIFFERENT {
            let mut all = all().iter().flat_map(names);
            assert!(all.any(|name| name.starts_with(part)), "{part}");
        }
    }
}
