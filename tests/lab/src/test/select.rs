// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Selects the cases to run.

use dax_cases::cases::{Case, Pin, RemovalKind};
use qemu_guest::artifacts::KernelSpec;

use super::TestArgs;
use crate::cli::UsageError;

/// The pins of the core matrix.
const CORE_PINS: [Pin; 3] = [Pin::DioRead, Pin::AioRead, Pin::Vmsplice];
/// The removals of the core matrix.
const CORE_REMOVALS: [RemovalKind; 3] = [
    RemovalKind::Truncate,
    RemovalKind::Punch,
    RemovalKind::ReclaimInline,
];

/// The selected cases, in the order of the list. A selection of one kind covers all cases of that
/// kind. Without any selection it is the core matrix.
///
/// # Errors
///
/// If no case matches, or there are modules without a kernel that is given by its path.
pub fn select(args: &TestArgs) -> Result<Vec<Case>, UsageError> {
    if args.modules.is_some() && !args.kernels.iter().any(KernelSpec::is_own) {
        return Err(UsageError::Modules);
    }
    let mut cases = args.selection.cases()?;
    if !args.all && !args.selection.names_cases() {
        cases.retain(|case| is_core(*case));
    }
    Ok(match args.shard {
        None => cases,
        Some(shard) => shard.part(cases),
    })
}

fn is_core(case: Case) -> bool {
    case.pin().is_some_and(|pin| CORE_PINS.contains(&pin))
        && case
            .removal()
            .is_some_and(|removal| CORE_REMOVALS.contains(&removal))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;
    use dax_cases::cases;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TestArgs,
    }

    /// The names of the cases that a command line selects.
    fn selected(words: &[&str]) -> Vec<String> {
        let line = Line::parse_from(["test"].iter().chain(words));
        let cases = select(&line.args).unwrap();
        cases.into_iter().map(Case::name).collect()
    }

    #[test]
    fn modules_need_a_kernel_that_is_given_by_its_path() {
        let select = |words: &[&str]| {
            let words = ["test", "--modules", "/lib/modules/x"].iter().chain(words);
            select(&Line::parse_from(words).args)
        };
        assert!(matches!(select(&[]), Err(UsageError::Modules)));
        let named = select(&["--kernel", "debian:6.12"]);
        assert!(matches!(named, Err(UsageError::Modules)));
        assert!(select(&["--kernel", "debian:6.12", "--kernel", "./bzImage"]).is_ok());
    }

    #[test]
    fn the_core_is_played_where_no_case_is_named() {
        // Three pins, with two removals, or three on fuse.
        assert_eq!(selected(&[]).len(), 3 * (3 + 2 + 2));
        assert_eq!(selected(&["--fs", "xfs"]).len(), 3 * 2);
        let all = cases::all().len();
        assert_eq!(selected(&["--all"]).len(), all);
        assert_eq!(selected(&["--case", "*"]).len(), all);
        let punched = selected(&["--removal", "punch", "--fs", "ext4"]);
        assert_eq!(punched.len(), Pin::ALL.len());
    }

    #[test]
    fn shards_have_each_case_once() {
        let all: Vec<String> = cases::all().into_iter().map(Case::name).collect();
        let shards = ["0/3", "1/3", "2/3"];
        let parts = shards.map(|shard| selected(&["--all", "--shard", shard]));
        assert!(parts.iter().all(|part| part.len() >= all.len() / 3));
        assert_eq!(parts.iter().flatten().count(), all.len());
        let together: BTreeSet<&String> = parts.iter().flatten().collect();
        assert_eq!(together, all.iter().collect());
        assert!(selected(&["--case", "stale-range::fuse", "--shard", "1/2"]).is_empty());
    }
}
