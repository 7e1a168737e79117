// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Progress on standard error: a line that changes on a terminal, otherwise one line for each cell.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use dax_measure::lab::{Cell, Verdict};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TICK: Duration = Duration::from_millis(200);

/// The progress of a run.
pub struct Live {
    bar: ProgressBar,
    terminal: bool,
}

impl Live {
    /// The progress of a run with this many cells.
    pub fn new(cells: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(cells as u64), target);
        let style = ProgressStyle::with_template("[{pos}/{len}] {elapsed} {wide_msg}");
        bar.set_style(style.expect("the template is a constant"));
        bar.enable_steady_tick(TICK);
        Self { bar, terminal }
    }

    /// A case begins.
    pub fn begin(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// A cell is complete.
    pub fn cell(&self, cell: &Cell) {
        self.bar.inc(1);
        let word = match cell.verdict {
            Verdict::Expected => "ok   ",
            Verdict::Fixed => "fixed",
            Verdict::Unexpected => "FAIL ",
            Verdict::Skipped => "skip ",
            Verdict::LabError => "LAB  ",
        };
        let line = format!(
            "{word} {} @ {}: {} ({:.1} s)",
            cell.case,
            cell.kernel,
            cell.outcome.name(),
            cell.seconds
        );
        if self.terminal {
            if cell.verdict != Verdict::Expected {
                self.bar.println(line);
            }
        } else {
            eprintln!("{line}");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
