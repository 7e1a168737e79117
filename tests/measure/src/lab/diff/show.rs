// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The differences as text.

use std::fmt::Write as _;

use super::{Change, Changes, Direction};
use crate::{
    lab::{latency::time, terminal::WIDTH},
    text::{clip, wrap},
};

/// The printed text.
pub fn show(changes: &Changes) -> String {
    let mut out = String::new();
    if let Some((a, b)) = &changes.kernels {
        let _ = writeln!(
            out,
            "{}",
            clip(&format!("Kernel {a} before, {b} after."), WIDTH)
        );
    }
    section("Changed", &changes.changed, &mut out);
    section("Only before", &changes.gone, &mut out);
    section("Only after", &changes.new, &mut out);
    latencies(changes, &mut out);
    if !out.is_empty() {
        out.push('\n');
    }
    let Changes {
        changed,
        gone,
        new,
        same,
        ..
    } = changes;
    let (worse, better) = (changes.regressions().count(), changes.improvements());
    let counts = [changed.len(), gone.len(), new.len(), *same];
    let [changed, gone, new, same] = counts;
    let _ = writeln!(
        out,
        "{worse} got worse, {better} better: {changed} changed, {gone} gone, {new} new, {same} as \
         before"
    );
    out
}

fn section(title: &str, changes: &[Change], out: &mut String) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for change in changes {
        let mark = match change.direction {
            Direction::Better => "better",
            Direction::Neutral => "",
            Direction::Worse => "WORSE",
        };
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".into());
        let (before, after) = (word(&change.before), word(&change.after));
        let line = format!("  {mark:<6} {before} -> {after}  {}", change.name);
        let _ = writeln!(out, "{}", clip(&line, WIDTH));
        for line in wrap(&change.why, WIDTH - 9) {
            let _ = writeln!(out, "         {line}");
        }
    }
}

fn latencies(changes: &Changes, out: &mut String) {
    if changes.wakes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nMedian from the release to the removal's return");
    for slower in &changes.wakes {
        let median = |n: Option<u64>| n.map(time).unwrap_or_default();
        let before = median(slower.before.median());
        let after = median(slower.after.median());
        let counts = (slower.before.samples().len(), slower.after.samples().len());
        let ratio = slower.ratio();
        let ratio = ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
        let name = clip(&slower.name, 46);
        let _ = writeln!(
            out,
            "  {name:<46} {before:>8} -> {after:>8}  x {ratio}  (n {}, {})",
            counts.0, counts.1
        );
    }
}
