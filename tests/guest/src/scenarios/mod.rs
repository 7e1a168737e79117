// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The tests, a file for each group.

mod budget;
mod confinement;
mod data;
mod everyday;
mod export;
mod faults;
mod fsx;
mod guard;
mod kernels;
mod life;
mod locks;
mod metrics;
mod migration;
mod one_region;
mod plug;
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

/// All groups, in the order of their start. Long groups come first, so that no long group runs alone
/// at the end.
pub fn all() -> &'static [Group] {
    &[
        budget::GROUP,
        everyday::GROUP,
        life::GROUP,
        posix::GROUP,
        everyday::TWO_GUESTS,
        everyday::PROGRAMS,
        pressure::GROUP,
        fsx::GROUP,
        upgrade::GROUP,
        guard::WITHOUT,
        guard::GROUP,
        reclaim::GROUP,
        test_command::GROUP,
        one_region::GROUP,
        confinement::GROUP,
        confinement::OTHER_USERS,
        faults::GROUP,
        kernels::GROUP,
        export::GROUP,
        share_command::GROUP,
        share_options::GROUP,
        share_root::GROUP,
        share_shell::GROUP,
        locks::GROUP,
        migration::GROUP,
        plug::GROUP,
        data::GROUP,
        policy::GROUP,
        read_only::GROUP,
        restart::GROUP,
        metrics::GROUP,
    ]
}

/// Tests that need a QEMU whose window is one memory region, or rely on more of a QEMU there.
const OF_ONE_REGION: [&str; 8] = [
    "guard::",
    "life::a_qemu_with_one_region_",
    "life::resets_with_live_mappings",
    "one_region::",
    "plug::out_with_files_mapped",
    "read_only::",
    "restart::",
    "upgrade::",
];

/// Tests that take minutes under emulation, so they are only played when a filter names them.
const BY_NAME: &str = "programs::";

/// Whether a test is only played when a filter names it.
pub fn is_by_name(name: &str) -> bool {
    name.starts_with(BY_NAME)
}

/// Whether a test is to be played on such a QEMU, too.
pub fn depends_on_one_region(name: &str) -> bool {
    OF_ONE_REGION.iter().any(|part| name.starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::names;

    #[test]
    fn what_is_named_is_there() {
        for part in OF_ONE_REGION.into_iter().chain([BY_NAME]) {
            let mut all = all().iter().flat_map(names);
            assert!(all.any(|name| name.starts_with(part)), "{part}");
        }
    }
}
