// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The page is well-formed whatever the texts, and needs nothing but itself.

use super::*;
use crate::report::fixture::{self, HOSTILE};

/// Elements that have no end tag.
const VOID: [&str; 4] = ["meta", "br", "line", "circle"];

#[test]
fn the_page_is_well_formed_and_stands_alone() {
    let page = html(&fixture::run()).unwrap();
    for foreign in ["http://", "https://", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let mut open = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((text, after)) = rest.split_once('<') {
        if open.last() != Some(&"style") {
            assert!(!text.contains(['>', '"']), "unescaped: {text:?}");
        }
        let (tag, after) = after.split_once('>').unwrap();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag:?}");
        rest = after;
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed in this order");
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
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
