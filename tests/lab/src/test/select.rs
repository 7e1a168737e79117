// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which cases are played.

use dax_cases::cases::{Case, Pin, RemovalKind};
use lab_report::model::Shard;

use super::TestArgs;
use crate::catalogue::NoCase;

/// The pins of the core matrix.
const CORE_PINS: [Pin; 3] = [Pin::DioRead, Pin::AioRead, Pin::Vmsplice];
/// Its removals.
const CORE_REMOVALS: [RemovalKind; 3] = [
    RemovalKind::Truncate,
    RemovalKind::Punch,
    RemovalKind::ReclaimInline,
];

/// The cases that the options name, in the order of the list. A selection of one kind is about all
/// that it names; the core matrix is what is left without any.
///
/// # Errors
///
/// If there is none.
pub fn select(args: &TestArgs) -> Result<Vec<Case>, NoCase> {
    let mut cases = args.selection.cases()?;
    if !args.all && !args.selection.names_cases() {
        cases.retain(|case| is_core(*case));
    }
    Ok(match args.shard {
        None => cases,
        Some(shard) => part(cases, shard),
    })
}

/// Every N-th, so that each part has some of each kind. With more parts than cases some are empty.
fn part(cases: Vec<Case>, shard: Shard) -> Vec<Case> {
    let (index, of) = (shard.index as usize, shard.of as usize);
    cases.into_iter().skip(index).step_by(of).collect()
}

fn is_core(case: Case) -> bool {
    case.pin().is_some_and(|pin| CORE_PINS.contains(&pin))
        && case
            .removal()
            .is_some_and(|removal| CORE_REMOVALS.contains(&removal))
}
