// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A look as lines of text, for pipes and for the head of the screen.

use std::fmt::Write as _;

use super::address::Address;
use super::grid::{cells, files, letter};
use super::numbers::{age, bytes, count, seconds};
use super::seen::{Seen, Window};

/// The number of ranges in a line.
const LINE: usize = 64;

/// The whole report.
pub fn report(address: &Address, seen: &Seen) -> String {
    let mut text = format!("virtiofs-daxd at {address}, up {}\n", age(seen.now_ms));
    for line in totals(seen) {
        let _ = writeln!(text, "{line}");
    }
    for class in seen.classes.iter().filter(|class| class.count > 0) {
        let mean = seconds(class.seconds / class.count as f64);
        let _ = writeln!(
            text,
            "  {:<14} {:>10}  {mean:>10} each",
            class.name,
            count(class.count as f64)
        );
    }
    if let Some(window) = &seen.window {
        window_lines(&mut text, window);
    }
    text
}

fn window_lines(text: &mut String, window: &Window) {
    for mapped in files(window) {
        let _ = writeln!(
            text,
            "  {} {:>5} ranges {:>9}  for up to {:<11} {}",
            letter(mapped.place),
            mapped.ranges,
            bytes(mapped.bytes as f64),
            age(mapped.oldest),
            mapped.file.name()
        );
    }
    if !window.ranges.is_empty() {
        for line in cells(window).chunks(LINE) {
            let letters: String = line.iter().map(|cell| cell.letter).collect();
            let _ = writeln!(text, "  {letters}");
        }
    }
}

/// A summary in three lines, each of which fits a terminal of 80 columns.
pub fn totals(seen: &Seen) -> Vec<String> {
    let totals = &seen.totals;
    let window = match &seen.window {
        None => "no window: this share is served by requests alone".to_owned(),
        Some(window) => format!(
            "window {}: {} mapped, {} used; {} ranges of {} files",
            bytes(window.size as f64),
            bytes(window.occupied as f64),
            bytes(window.used as f64),
            window.ranges.len(),
            window.files.len(),
        ),
    };
    let regions = seen.window.as_ref().map_or(String::new(), |window| {
        let regions = &window.regions;
        let (in_use, limit, views) = (regions.in_use, regions.limit, window.views);
        let of = limit.map_or(String::new(), |limit| format!(" of {limit}"));
        format!("{in_use}{of} VM regions, {views} views; ")
    });
    let number = |number: u64| count(number as f64);
    let queues: Vec<_> = totals.queues.iter().map(|queue| number(*queue)).collect();
    vec![
        window,
        format!(
            "{regions}{} maps, {} unmaps, {} upgrades, {} refused",
            number(totals.maps),
            number(totals.unmaps),
            number(totals.upgrades),
            number(totals.refused),
        ),
        format!(
            "{} requests (queues: {}), {} errors; {} read, {} written by FUSE",
            number(totals.requests),
            queues.join(" "),
            number(totals.errors),
            bytes(totals.read_bytes as f64),
            bytes(totals.written_bytes as f64)
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::seen::tests::busy;

    #[test]
    fn a_report_is_plain_and_whole() {
        let text = report(&"127.0.0.1:1".parse().unwrap(), &busy());
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text:?}"
        );
        for part in [
            "at 127.0.0.1:1, up 1 min 2 s",
            "window 256 MiB: ",
            "/vm/root.img",
            "  a·ca·ab·",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let ranges = text.lines().filter(|line| line.chars().count() == LINE + 2);
        assert_eq!(ranges.count(), 2, "{text}");
    }

    #[test]
    fn no_window_is_said() {
        let mut seen = busy();
        seen.window = None;
        assert!(report(&"/s".parse().unwrap(), &seen).contains("no window"));
    }
}
