// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What `daxlab share` is doing, on standard error.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// A spinner with the current step on a terminal, one line per step where asked for, else nothing:
/// then standard error is the guest command's alone.
#[derive(Debug)]
pub struct Steps {
    spinner: ProgressBar,
    terminal: bool,
    lines: bool,
    begun: Instant,
}

impl Steps {
    /// Begins to count the time.
    pub fn new(verbose: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let target = if terminal && !verbose {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let spinner = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
        spinner.set_style(style.expect("the template is a constant"));
        Self {
            spinner,
            terminal,
            lines: verbose,
            begun: Instant::now(),
        }
    }

    /// Says what is begun now.
    pub fn begin(&self, step: &str) {
        if self.lines {
            eprintln!(
                "daxlab: {:5.2} s: {step}",
                self.begun.elapsed().as_secs_f64()
            );
        }
        self.spinner.set_message(step.to_owned());
        self.spinner.enable_steady_tick(TICK);
    }

    /// Takes the spinner away; the terminal belongs to somebody else now.
    pub fn clear(&self) {
        self.spinner.finish_and_clear();
    }

    /// Says something that a user at the terminal should know.
    pub fn say(&self, text: &str) {
        if self.terminal || self.lines {
            self.spinner.suspend(|| eprintln!("daxlab: {text}"));
        } else {
            log::info!("{text}");
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.clear();
    }
}
