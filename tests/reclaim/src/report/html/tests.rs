// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The page is well-formed whatever the texts, and needs nothing but itself.

use super::*;
use crate::report::fixture::{self, HOSTILE};

#[test]
fn the_page_is_well_formed_and_stands_alone() {
    lab_report::fixture::checked_page(&html(&fixture::run()).unwrap());
}

#[test]
fn it_has_every_kind_of_plot() {
    let page = html(&fixture::run()).unwrap();
    for text in [
        "read, in sequence, caches warm: bytes a second",
        "load, in sequence, caches cold: ranges reclaimed a second",
        "2x: accesses that took longer than",
        "as fast as no window up to 4 windows",
        "emulated (TCG)",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains(HOSTILE));
}

#[test]
fn a_run_without_points_is_a_page_too() {
    let mut run = fixture::run();
    run.points.clear();
    assert!(html(&run).unwrap().contains("aims: 0 met"));
}
