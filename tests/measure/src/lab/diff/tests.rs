// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use super::{show::show, *};
use crate::{
    lab::{
        Cell, Outcome,
        fixture::{self, ended, named, skipped, waited},
        terminal::WIDTH,
    },
    text,
};

fn one(cells: Vec<Cell>) -> Run {
    fixture::run(cells)
}

fn cell() -> Cell {
    waited("k", "fuse", "dio-read", "punch")
}

fn harmed() -> Cell {
    ended(
        cell(),
        Outcome::Harmed,
        Verdict::Unexpected,
        "a page is lost",
    )
}

fn regressions(before: Vec<Cell>, after: Vec<Cell>) -> usize {
    compare(&one(before), &one(after)).regressions().count()
}

#[test]
fn worse_is_unexpected_a_failed_lab_or_gone() {
    let lab = ended(cell(), Outcome::NotRun, Verdict::LabError, "no guest");
    let not_tried = skipped(cell(), "no KVM");
    for (before, after, worse) in [
        (vec![cell()], vec![cell()], 0),
        (vec![cell()], vec![harmed()], 1),
        (vec![cell()], vec![lab], 1),
        (vec![cell()], vec![], 1),
        (vec![cell()], vec![not_tried.clone()], 0),
        (vec![not_tried], vec![], 0),
        (vec![harmed()], vec![], 0),
        (vec![harmed()], vec![cell()], 0),
        (vec![], vec![harmed()], 0),
        (vec![cell(), harmed()], vec![harmed()], 0),
        (vec![cell()], vec![cell(), harmed()], 1),
    ] {
        assert_eq!(
            regressions(before.clone(), after.clone()),
            worse,
            "{before:?} {after:?}"
        );
    }
}

#[test]
fn a_change_has_a_direction_where_both_are_expected() {
    let slip = || ended(cell(), Outcome::Proceeded, Verdict::Expected, "so it is");
    let changes = compare(&one(vec![cell()]), &one(vec![slip()]));
    assert_eq!(changes.changed[0].before.as_deref(), Some("wait"));
    assert_eq!(changes.changed[0].after.as_deref(), Some("slip"));
    assert_eq!(changes.same, 0);
    assert_eq!(changes.regressions().count(), 1);

    let fixed = ended(cell(), Outcome::Waited, Verdict::Fixed, "it waited");
    let changes = compare(&one(vec![slip()]), &one(vec![fixed]));
    assert_eq!(changes.changed[0].direction, Direction::Better);
    assert_eq!(
        (changes.regressions().count(), changes.improvements()),
        (0, 1)
    );
}

#[test]
fn repetitions_are_no_change() {
    let many = one(vec![cell(), cell(), cell()]);
    let changes = compare(&many, &one(vec![cell()]));
    assert_eq!((changes.same, changes.changed.len()), (1, 0));
}

#[test]
fn kernels_of_other_names_are_compared_where_there_is_one_each() {
    let other = Cell {
        kernel: "patched".into(),
        ..harmed()
    };
    let changes = compare(&one(vec![cell()]), &one(vec![other.clone()]));
    assert_eq!(changes.kernels, Some(("k".into(), "patched".into())));
    assert_eq!(changes.regressions().count(), 1);
    assert_eq!(changes.wakes.len(), 1);
    let both = compare(&one(vec![cell()]), &one(vec![cell(), other]));
    assert_eq!((both.kernels, both.new.len(), both.same), (None, 1, 1));
}

#[test]
fn medians_are_compared() {
    let mut slow = cell();
    slow.evidence.wake_us = vec![3000];
    let changes = compare(&one(vec![cell()]), &one(vec![slow]));
    assert_eq!(changes.wakes[0].ratio(), Some(2.0));
    let shown = show(&changes);
    assert!(
        shown.contains("1.50 ms ->  3.00 ms  x 2.00  (n 3, 1)"),
        "{shown}"
    );
}

#[test]
fn what_is_shown_fits() {
    let hostile = fixture::hostile();
    let small = fixture::small();
    for (before, after) in [(&small, &hostile), (&hostile, &small), (&small, &small)] {
        let shown = show(&compare(before, after));
        for line in shown.lines() {
            assert!(text::width(line) <= WIDTH, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
    let cells = vec![cell(), named("k", "old")];
    let shown = show(&compare(
        &one(cells),
        &one(vec![harmed(), named("k", "new")]),
    ));
    assert_eq!(shown, include_str!("changes.txt"), "\n{shown}");
}
