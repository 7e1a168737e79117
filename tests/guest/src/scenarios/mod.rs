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
mod policy;
mod posix;
mod pressure;
mod read_only;
mod reclaim;
mod restart;
mod share_command;
mod share_options;
mod share_shell;
mod test_command;
mod upgrade;

use crate::scenario::Group;

/// All groups, in the order in which they run.
pub fn all() -> [Group; 23] {
    [
        data::GROUP,
        faults::GROUP,
        policy::GROUP,
        pressure::GROUP,
        everyday::GROUP,
        everyday::TWO_GUESTS,
        budget::GROUP,
        read_only::GROUP,
        upgrade::GROUP,
        confinement::GROUP,
        life::GROUP,
        restart::GROUP,
        guard::GROUP,
        metrics::GROUP,
        migration::GROUP,
        kernels::GROUP,
        posix::GROUP,
        share_command::GROUP,
        share_options::GROUP,
        share_shell::GROUP,
        test_command::GROUP,
        fsx::GROUP,
        reclaim::GROUP,
    ]
}
