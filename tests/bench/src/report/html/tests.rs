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
fn it_has_every_number_and_every_plot() {
    let page = html(&fixture::run()).unwrap();
    for text in [
        "2.00 [2.00 2.00] × virtiofsd",
        "aims: 1 met, 0 unsure, 1 missed",
        "memory 7.50 KiB a mapping",
        "Latencies of io",
        "daemon CPU of io against the reference",
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
