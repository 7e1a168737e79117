// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Prints the steps of `daxlab share` on standard error.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The interval of the spinner.
const TICK: Duration = Duration::from_millis(100);

/// On a terminal, a spinner with the current step; with `verbose`, one line for each step;
/// otherwise nothing, so that standard error belongs to the guest's command alone.
#[derive(Debug)]
pub struct Steps {
    spinner: ProgressBar,
    terminal: bool,
    lines: bool,
    begun: Instant,
}

impl Steps {
    /// Starts the clock.
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

    /// Starts a step.
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

    /// Removes the spinner: the terminal belongs to the guest's command now.
    pub fn clear(&self) {
        self.spinner.finish_and_clear();
    }

    /// Prints a message for a user at the terminal.
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
