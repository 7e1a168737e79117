// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The page is well-formed for any texts, and loads nothing.

use std::collections::HashSet;

use super::*;
use crate::{
    fixture::checked_page,
    lab::fixture::{self, HOSTILE},
};

fn checked(run: &Run) -> (HashSet<String>, HashSet<String>) {
    checked_page(&html(run).unwrap())
}

#[test]
fn pages_are_well_formed_and_stand_alone() {
    for run in [
        fixture::small(),
        fixture::interleaved(),
        fixture::hostile(),
        fixture::all_skipped(),
        fixture::run(vec![]),
    ] {
        let (ids, targets) = checked(&run);
        assert!(targets.is_subset(&ids), "{targets:?} in {ids:?}");
    }
}

#[test]
fn each_group_has_its_evidence_and_a_link_to_it() {
    let (ids, targets) = checked(&fixture::small());
    for group in 0..7 {
        let anchor = format!("g{group}");
        assert!(
            ids.contains(&anchor) && targets.contains(&anchor),
            "{anchor}"
        );
    }
    let page = html(&fixture::small()).unwrap();
    assert!(page.contains("[&lt;0&gt;] fuse_dax_break_layouts+0x1c"));
    assert!(page.contains("n 6, median 1.50 ms, p99 4.10 ms"));
}

#[test]
fn hostile_text_is_only_text() {
    let page = html(&fixture::hostile()).unwrap();
    assert!(!page.contains(HOSTILE));
    assert!(page.contains("&lt;script&gt;&amp;&quot;&#x27;]]&gt;{{ x }}"));
    assert!(page.contains('\u{241b}'), "an escape character is shown");
}

#[test]
fn logs_of_further_good_repetitions_are_left_to_the_json() {
    let mut run = fixture::run(vec![fixture::waited("k", "fuse", "dio-read", "punch"); 3]);
    for (repetition, cell) in (1..).zip(&mut run.cells) {
        cell.repetition = repetition;
        cell.evidence.guest_log = format!("log {repetition}");
    }
    run.cells[2].verdict = crate::lab::Verdict::Unexpected;
    let page = html(&run).unwrap();
    assert!(!page.contains("log 1") && !page.contains("log 2") && page.contains("log 3"));
    run.cells.pop();
    let page = html(&run).unwrap();
    assert!(page.contains("log 1") && !page.contains("log 2"));
    checked(&run);
}
