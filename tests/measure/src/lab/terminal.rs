// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The report for a terminal: the matrix, then explanations, then one line of totals. It is at most
//! [`table::WIDTH`] columns wide, and no information depends on colour alone.

pub mod labels;
mod latencies;
mod lists;
mod matrix;
mod table;

pub use lists::judged;
pub use table::WIDTH;

use super::Run;
use crate::Colour;

/// The whole report.
pub fn text(run: &Run, colour: Colour) -> String {
    let mut out = String::new();
    lists::heading(run, &mut out);
    matrix::matrix(run, colour, &mut out);
    lists::named(run, colour, &mut out);
    lists::unexpected(run, colour, &mut out);
    lists::skipped(run, &mut out);
    latencies::latencies(run, &mut out);
    lists::legend(run, &mut out);
    out.push_str(&format!("\n{}\n", run.totals()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lab::fixture, text};

    fn plain(run: &Run) -> String {
        let out = super::text(run, Colour::Off);
        for line in out.lines() {
            assert!(text::width(line) <= WIDTH, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
            assert_eq!(line, line.trim_end());
        }
        out
    }

    #[test]
    fn a_small_run() {
        let shown = plain(&fixture::small());
        let expected = include_str!("terminal/small.txt");
        assert_eq!(shown, expected, "\n{shown}");
    }

    #[test]
    fn the_whole_matrix_is_never_wider_than_a_hundred_columns() {
        let one = plain(&fixture::complete(&["debian:6.12"]));
        assert!(one.contains("690 passed, 0 failed, 0 skipped"), "{one}");
        assert!(one.lines().count() < 130, "{one}");
        let kernels = ["debian:6.1", "debian:6.12", "build:6.12+seed", "./bzImage"];
        let mut run = fixture::complete(&kernels);
        for repetition in 2..=12 {
            let mut cells = fixture::complete(&kernels[..1]).cells;
            for cell in &mut cells {
                cell.repetition = repetition;
                // The first repetition's are as wide, and fewer are compared sooner.
                cell.evidence.wake_us.clear();
            }
            run.cells.extend(cells);
        }
        plain(&run);
    }

    #[test]
    fn kernels_stand_side_by_side_where_they_fit() {
        let mut run = fixture::complete(&["debian:6.12", "build:6.12+seed"]);
        run.cells
            .retain(|cell| ["truncate", "punch"].contains(&cell.removal.as_deref().unwrap()));
        let shown = plain(&run);
        assert!(shown.contains("A  debian:6.12 (6.12.117)"), "{shown}");
        assert!(shown.contains("fuse dio-read"), "{shown}");
    }

    #[test]
    fn kernels_in_turn_are_compared() {
        let shown = plain(&fixture::interleaved());
        let compared = "\nMedian of build:6.12 over that of …, with 95 % of confidence\n";
        let (_, ratio) = shown.split_once(compared).expect("a section of ratios");
        let ratio = ratio.lines().next().unwrap();
        assert!(ratio.contains("build:6.12+seed") && ratio.ends_with("slower than the first"));
        assert!(
            shown.contains("     20  xfs dio-read on build:6.12+seed\n"),
            "{shown}"
        );
    }

    #[test]
    fn odd_runs() {
        plain(&fixture::hostile());
        assert!(plain(&fixture::run(vec![])).contains("no cells"));
        let skipped = plain(&fixture::all_skipped());
        assert!(skipped.contains("2: no KVM"), "{skipped}");
        assert!(skipped.ends_with("0 passed, 0 failed, 2 skipped\n"));
    }

    #[test]
    fn colour_only_where_it_is_asked_for() {
        let run = fixture::small();
        let coloured = super::text(&run, Colour::On);
        let bare = coloured
            .replace("\x1b[0m", "")
            .replace("\x1b[32m", "")
            .replace("\x1b[33m", "")
            .replace("\x1b[1;31m", "")
            .replace("\x1b[1;35m", "")
            .replace("\x1b[2m", "");
        assert_eq!(bare, super::text(&run, Colour::Off));
        assert_ne!(bare, coloured);
    }
}
