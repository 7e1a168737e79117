// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which cases are played.

use dax_cases::cases::{self, Case, Pin, RemovalKind};
use lab_report::model::Shard;

use super::TestArgs;

/// The pins of the core matrix.
const CORE_PINS: [Pin; 3] = [Pin::DioRead, Pin::AioRead, Pin::Vmsplice];
/// Its removals.
const CORE_REMOVALS: [RemovalKind; 3] = [
    RemovalKind::Truncate,
    RemovalKind::Punch,
    RemovalKind::ReclaimInline,
];

/// The cases that the options name, in the order of the list.
pub fn select(args: &TestArgs) -> Vec<Case> {
    let wanted = cases::all()
        .into_iter()
        .filter(|case| is_wanted(args, *case));
    match args.shard {
        None => wanted.collect(),
        Some(shard) => part(wanted, shard),
    }
}

/// Every N-th, so that each part has some of each kind.
fn part(cases: impl Iterator<Item = Case>, shard: Shard) -> Vec<Case> {
    let (index, of) = (shard.index as usize, shard.of as usize);
    cases.skip(index).step_by(of).collect()
}

fn is_wanted(args: &TestArgs, case: Case) -> bool {
    let selected = |wanted: bool, none: bool| none || wanted;
    let pin = case.pin().is_some_and(|pin| args.pin.contains(&pin));
    let removal = case
        .removal()
        .is_some_and(|removal| args.removal.contains(&removal));
    let name = case.name();
    let named = args.cases.iter().any(|pattern| pattern.matches(&name));
    let core = case.pin().is_some_and(|pin| CORE_PINS.contains(&pin))
        && case
            .removal()
            .is_some_and(|removal| CORE_REMOVALS.contains(&removal));
    // A selection of one kind is about all that it names; the core is what is left without any.
    let selects =
        args.all || !(args.pin.is_empty() && args.removal.is_empty() && args.cases.is_empty());
    selected(args.fs.contains(&case.fs()), args.fs.is_empty())
        && selected(pin, args.pin.is_empty())
        && selected(removal, args.removal.is_empty())
        && selected(named, args.cases.is_empty())
        && selected(core, selects)
}
