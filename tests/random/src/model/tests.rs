// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the model says of programs, line by line.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::draw;

/// The state after a program, whose steps must all be possible, and what each step owes.
fn after(text: &str) -> (Model, Vec<Owed>) {
    let program: Program = text.parse().unwrap();
    let mut model = Model::new(&program);
    let owed = program.steps.iter().map(|step| {
        let owed = model.step(*step);
        owed.unwrap_or_else(|refusal| panic!("{step}: {refusal}"))
    });
    let owed = owed.collect();
    (model, owed)
}

fn refusal(text: &str) -> String {
    let program: Program = text.parse().unwrap();
    let mut model = Model::new(&program);
    let (last, before) = program.steps.split_last().unwrap();
    for step in before {
        model.step(*step).unwrap();
    }
    model.step(*last).unwrap_err().to_string()
}

fn only(actors: &[Actor]) -> BTreeSet<Actor> {
    actors.iter().copied().collect()
}

const FUSE: &str = "fs fuse\nfile a 1\nfile b 1\n";
const XFS: &str = "fs xfs\nfile a 1\nfile b 1\n";

#[test]
fn a_removal_waits_for_the_pins_of_its_pages_and_may_wait_for_others_of_its_file() {
    let pins = "A pin a 3 vmsplice\nB pin a 4 vmsplice\n";
    for (removal, must, may) in [
        ("C truncate a 0", &[Actor::A, Actor::B][..], &[][..]),
        ("C truncate a 4", &[Actor::B], &[Actor::A]),
        ("C truncate a 5", &[], &[Actor::A, Actor::B]),
        ("C o-trunc a", &[Actor::A, Actor::B], &[]),
        ("C punch a 3 1", &[Actor::A], &[Actor::B]),
        ("C zero a 4 100", &[Actor::B], &[Actor::A]),
        ("C reserve a 3 1", &[], &[Actor::A, Actor::B]),
        ("C truncate b 0", &[], &[]),
        ("C load a 3", &[], &[]),
        ("C stat a", &[], &[]),
        ("C unlink b", &[], &[]),
        ("C drop-caches", &[], &[Actor::A, Actor::B]),
    ] {
        let (_, owed) = after(&format!("{FUSE}{pins}{removal}"));
        assert_eq!(owed[2].must, only(must), "{removal}");
        assert_eq!(owed[2].may, only(may), "{removal}");
    }
}

#[test]
fn a_copy_takes_blocks_only_where_it_may_be_a_clone() {
    let program = "A pin a 3 vmsplice\nC copy a 3 1 b";
    let (_, on_fuse) = after(&format!("{FUSE}{program}"));
    let (_, on_xfs) = after(&format!("{XFS}{program}"));
    assert_eq!(
        (&on_fuse[1].must, &on_fuse[1].may),
        (&only(&[]), &only(&[Actor::A]))
    );
    assert_eq!(on_xfs[1].must, only(&[Actor::A]));
}

#[test]
fn fuse_has_no_collapse() {
    let program = "A collapse a 0 1";
    let (_, on_fuse) = after(&format!("{FUSE}{program}"));
    let (model, on_xfs) = after(&format!("{XFS}{program}"));
    assert_eq!(on_fuse[0].errno, Some(libc::EOPNOTSUPP));
    assert_eq!(on_xfs[0].errno, None);
    assert_eq!(model.file(FileId(0)).pages.len(), 511);
}

#[test]
fn a_step_is_open_until_the_last_pin_is_released() {
    let begun = format!("{FUSE}A pin a 3 vmsplice\nB pin a 4 vmsplice\nC truncate a 0\n");
    let (model, _) = after(&begun);
    assert!(model.is_open(Actor::C));
    assert_eq!(model.file(FileId(0)).pages.len(), 512);
    let (model, _) = after(&format!("{begun}A release"));
    assert_eq!(model.must(Actor::C), only(&[Actor::B]));
    let (model, _) = after(&format!("{begun}A release\nB release"));
    assert!(!model.is_open(Actor::C));
    assert!(model.file(FileId(0)).pages.is_empty());
}

#[test]
fn a_full_window_lets_accesses_wait_and_nothing_else() {
    let full = "fs fuse\nfile a 9\nfile b 1\nA pin a 3 vmsplice\n";
    let (_, owed) = after(&format!("{full}B sweep a 1 5\nC truncate b 0"));
    assert_eq!((&owed[1].may, &owed[2].may), (&only(&[]), &only(&[])));
    let (_, owed) = after(&format!("{full}B sweep a 1 8\nC load b 3"));
    assert_eq!(
        (&owed[1].may, &owed[2].may),
        (&only(&[Actor::A]), &only(&[Actor::A]))
    );
}

#[test]
fn what_may_have_been_done_is_unknown_until_it_has_been() {
    let begun = format!("{FUSE}A pin a 3 vmsplice\nB punch a 9 1\n");
    let (model, _) = after(&begun);
    assert_eq!(model.content(FileId(0), 9), Content::Unknown);
    assert_eq!(model.content(FileId(0), 10), Content::first(0, 10));
    let (model, _) = after(&format!("{begun}A release"));
    assert_eq!(model.content(FileId(0), 9), Content::Zeros);
    // A file that may have been cut is not accessed where it may have ended.
    let cut = format!("{FUSE}A pin a 3 vmsplice\nB truncate a 9\n");
    assert_eq!(
        refusal(&format!("{cut}C load a 9")),
        "the file may end before"
    );
    after(&format!("{cut}C load a 8"));
}

#[test]
fn a_server_writes_to_its_page_at_the_release() {
    let begun = format!("{FUSE}A pin a 3 aio-read\nB pin a 7 aio-write\n");
    let (model, _) = after(&format!("{begun}A release\nB release"));
    assert_eq!(model.content(FileId(0), 3), Content::Sent(0));
    assert_eq!(model.content(FileId(0), 7), Content::first(0, 7));
    // It is not told what a copy over the page leaves.
    let (model, _) = after(&format!("{begun}C copy a 3 1 b\nA release\nB release"));
    assert_eq!(model.content(FileId(0), 3), Content::Unknown);
}

#[test]
fn a_collapse_moves_a_pin_with_its_block() {
    let begun = format!("{XFS}A pin a 9 aio-read\nB collapse a 2 3\n");
    let (model, owed) = after(&format!("{begun}A release"));
    assert_eq!(owed[1].must, only(&[]));
    assert_eq!(model.content(FileId(0), 6), Content::Unknown);
}

#[test]
fn what_hides_pins_is_known_and_what_is_accessed_in_a_wait_too() {
    let (model, _) = after(&format!(
        "{FUSE}A pin a 3 vmsplice\nB reopen a\nC copy a 3 1 b"
    ));
    let hidden = model.of(Actor::A).pin.as_ref().unwrap().hidden;
    assert!(hidden.reopened && hidden.copied && !hidden.unmapped);
    for changes in [
        "host write a 9 1\nA pin a 3 vmsplice",
        "A pin a 3 vmsplice\nB punch a 9 1",
    ] {
        let (model, _) = after(&format!("{FUSE}{changes}"));
        assert!(model.of(Actor::A).pin.as_ref().unwrap().hidden.changed);
    }
    // The removal that has to wait does not excuse its own return.
    let (model, _) = after(&format!("{FUSE}A pin a 3 vmsplice\nB truncate a 0"));
    assert_eq!(
        model.of(Actor::A).pin.as_ref().unwrap().hidden,
        Hidden::default()
    );
    let waits = format!("{FUSE}A pin a 3 vmsplice\nC truncate a 0\n");
    assert!(
        !after(&format!("{waits}B load a 4"))
            .0
            .is_refaulted(Actor::C)
    );
    assert!(
        !after(&format!("{waits}B load b 3"))
            .0
            .is_refaulted(Actor::C)
    );
    assert!(
        after(&format!("{waits}B load a 3"))
            .0
            .is_refaulted(Actor::C)
    );
}

#[test]
fn steps_whose_outcome_cannot_be_told_are_refused() {
    for (text, why) in [
        ("A release", "holds no pin"),
        ("A pin a 3 vmsplice\nA truncate a 0", "wait for itself"),
        (
            "A pin a 3 vmsplice\nB truncate a 0\nB load b 0",
            "may be in a call",
        ),
        ("A pin a 3 dio-read\nA load b 0", "in a call"),
        (
            "A pin a 3 vmsplice\nB truncate a 0\nC punch a 0 1",
            "is open",
        ),
        (
            "A pin a 3 vmsplice\nB truncate a 0\nC unlink b",
            "need the name",
        ),
        ("A pin a 3 aio-read\nB pin a 3 vmsplice", "one writes"),
        (
            "A pin a 3 aio-read\nB pin a 4 aio-read\nC pin a 5 aio-read",
            "too many",
        ),
        ("A pin a 3 aio-read\nA exit", "waits for its transfers"),
        ("A truncate a 1\nA pin a 3 vmsplice", "end before"),
        ("A punch a 3 1\nA pin a 3 vmsplice", "no pattern"),
        ("A unlink a\nB stat a", "no name"),
        ("A close a\nA load a 0", "neither open nor mapped"),
        ("A sweep a 0 0", "nothing is done"),
        ("A nudge", "in no call"),
        ("host truncate a 0", "does not do that"),
    ] {
        let said = refusal(&format!("{FUSE}{text}"));
        assert!(said.contains(why), "{text}: {said}");
    }
    let shared = format!("{XFS}A copy a 3 1 b\nA pin b 3 vmsplice");
    assert_eq!(refusal(&shared), "a block is shared");
}

#[test]
fn the_lab_s_contract_is_the_model_s() {
    use dax_cases::cases::RemovalKind::{
        self, Collapse, OpenTruncate, Punch, Truncate, TruncateMiddle, Zero,
    };
    use dax_measure::lab::Contract;
    let removals: [(&str, RemovalKind); 6] = [
        ("truncate a 0", Truncate),
        ("truncate a 2", TruncateMiddle),
        ("o-trunc a", OpenTruncate),
        ("punch a 3 1", Punch),
        ("zero a 3 1", Zero),
        ("collapse a 3 1", Collapse),
    ];
    for fs in FileSystem::ALL {
        for (text, kind) in removals {
            let program = format!("fs {fs}\nfile a 1\nA pin a 3 vmsplice\nB {text}");
            let owed = &after(&program).1[1];
            let contract = kind.contract(fs);
            assert_eq!(
                owed.must.is_empty(),
                contract != Contract::MustWait,
                "{fs} {text}"
            );
            assert_eq!(
                owed.errno.is_some(),
                contract == Contract::MustRefuse,
                "{fs} {text}"
            );
        }
    }
}

proptest! {
    /// A program without some of its steps is sound after its impossible steps are left out, and at
    /// its end, when all pins are released, nothing is open.
    #[test]
    fn any_part_of_a_program_is_a_program(seed: u64, number in 0_u64..1000, left: u32) {
        let program = draw(seed, number, None);
        prop_assert_eq!(&sound(&program), &program);
        let steps = (0..).zip(&program.steps);
        let kept = steps.filter(|(index, _)| left >> index & 1 == 1).map(|(_, step)| *step);
        let part = sound(&program.with_steps(kept.collect()));
        prop_assert_eq!(&sound(&part), &part);
        let mut model = Model::new(&part);
        for step in &part.steps {
            model.step(*step).unwrap();
        }
        for actor in model.holders() {
            let release = Step { who: Who::Actor(actor), act: Act::Release };
            model.step(release).unwrap();
        }
        prop_assert!(Actor::ALL.iter().all(|actor| !model.is_open(*actor)));
    }

    #[test]
    fn the_same_seed_draws_the_same_program(seed: u64, number: u64) {
        prop_assert_eq!(draw(seed, number, None), draw(seed, number, None));
    }
}
