// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The page is well-formed whatever the texts, and needs nothing but itself.

use std::collections::HashSet;

use super::*;
use crate::fixture::{self, HOSTILE};

/// Elements that have no end tag.
const VOID: [&str; 4] = ["meta", "br", "line", "circle"];

/// Reads tags as strictly as XML would; says the ids and the links' targets.
fn checked(run: &Run) -> (HashSet<String>, HashSet<String>) {
    let page = html(run).unwrap();
    let lower = page.to_lowercase();
    for foreign in [
        "http://", "https://", "<script", "<link", "@import", "url(", "<img",
    ] {
        assert!(!lower.contains(foreign), "{foreign}");
    }
    assert!(!page.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    let (mut open, mut ids, mut targets) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((text, after)) = rest.split_once('<') {
        if open.last() != Some(&"style") {
            assert!(!text.contains(['>', '"']), "unescaped: {text:?}");
        }
        let (tag, after) = after.split_once('>').unwrap();
        assert!(!tag.contains('<'), "{tag:?}");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag:?}");
        rest = after;
        let name = tag.split([' ', '\n', '/']).find(|part| !part.is_empty());
        let name = name.unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closed in this order");
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
        let attribute = |name: &str| {
            let (_, value) = tag.split_once(&format!(" {name}=\""))?;
            Some(value.split('"').next().unwrap().to_owned())
        };
        if let Some(id) = attribute("id") {
            assert!(ids.insert(id), "{tag:?} twice");
        }
        targets.extend(attribute("href").map(|href| href.strip_prefix('#').unwrap().to_owned()));
    }
    assert!(open.is_empty(), "{open:?}");
    (ids, targets)
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
    run.cells[2].verdict = crate::model::Verdict::Unexpected;
    let page = html(&run).unwrap();
    assert!(!page.contains("log 1") && !page.contains("log 2") && page.contains("log 3"));
    run.cells.pop();
    let page = html(&run).unwrap();
    assert!(page.contains("log 1") && !page.contains("log 2"));
    checked(&run);
}
