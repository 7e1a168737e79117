// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Random requests against a window, with failures at every seam, compared with a plain model.
//!
//! After each step the window's table, the VMM's mappings and the bytes that a guest would see have
//! to agree with the model. Broken VMMs and view sources show that the comparison can fail.

#[path = "model/action.rs"]
mod action;
#[path = "model/plain.rs"]
mod plain;
#[path = "model/rig.rs"]
mod rig;
#[path = "model/seams.rs"]
mod seams;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use shared_window::Access;

use crate::action::{Action, Step};
use crate::plain::{FILES, PAGES};
use crate::rig::Rig;
use crate::seams::{CallFault, Mutant};

/// Sequences per run of the property.
const CASES: u32 = 1000;
/// Sequences within which a mutant has to be found.
const CASES_FOR_MUTANTS: u32 = 200;
/// The longest sequence.
const STEPS: usize = 60;

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![Just(Access::ReadOnly), Just(Access::ReadWrite)]
}

fn action() -> impl Strategy<Value = Action> {
    // Few distinct places, so that requests often meet.
    let skew = prop_oneof![19 => Just(0_u64), 1 => 1..4096_u64];
    let place = (0..=PAGES / 2).prop_map(|half| half * 2);
    let pages = prop_oneof![6 => Just(2_u64), 1 => 0..=4_u64];
    let setup = (place.clone(), pages, 0..FILES, 0..4_u64, access(), skew).prop_map(
        |(at, pages, file, from, access, skew)| Action::Setup {
            at,
            pages,
            file,
            from: from * 2,
            access,
            skew,
        },
    );
    let lengths = prop_oneof![6 => Just(2_u64), 1 => 0..=PAGES + 2];
    prop_oneof![
        8 => setup,
        4 => vec((place, lengths), 1..4).prop_map(Action::Remove),
        1 => Just(Action::Clear),
        4 => (0..PAGES, any::<u8>()).prop_map(|(page, byte)| Action::Store { page, byte }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        6 => Just(CallFault::None),
        1 => Just(CallFault::Refused),
        1 => Just(CallFault::LostBefore),
        1 => Just(CallFault::LostAfter),
        1 => Just(CallFault::Panic),
    ];
    let faults = prop_oneof![3 => Just(Vec::new()), 2 => vec(fault, 1..4)];
    let rarely = || prop::bool::weighted(0.05);
    (action(), faults, rarely(), rarely()).prop_map(|(action, faults, no_view, no_region)| Step {
        action,
        faults,
        no_view,
        no_region,
    })
}

fn run(mut runner: TestRunner, mutant: Option<Mutant>) -> Result<(), TestError<Vec<Step>>> {
    runner.run(&vec(step(), 1..STEPS), |steps| {
        let mut rig = Rig::new(mutant);
        steps
            .iter()
            .try_for_each(|step| rig.take(step))
            .map_err(TestCaseError::fail)
    })
}

fn config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    }
}

#[test]
fn window_vmm_and_guest_agree_after_every_step() {
    seams::silence_expected_panics();
    if let Err(error) = run(TestRunner::new(config(CASES)), None) {
        panic!("{error}");
    }
}

#[test]
fn every_mutant_is_found() {
    seams::silence_expected_panics();
    for mutant in Mutant::ALL {
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let runner = TestRunner::new_with_rng(config(CASES_FOR_MUTANTS), rng);
        match run(runner, Some(mutant)) {
            Err(TestError::Fail(reason, steps)) => {
                println!("{mutant:?} shows in {} steps: {reason}", steps.len());
            }
            other => panic!("{mutant:?} went unnoticed: {other:?}"),
        }
    }
}
