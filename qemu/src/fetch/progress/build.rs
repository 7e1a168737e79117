// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How a build is shown: by the number of compiled objects.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Kind, Progress};

/// Where there is no terminal, one line for so many objects.
const LINE_EVERY: u64 = 250;
/// How often the clock of a bar moves when nothing else does.
const TICK: Duration = Duration::from_millis(200);

impl Progress {
    /// Begins to show a build of some `expected` objects, if it is known how many.
    pub(crate) fn build(&self, what: &str, expected: Option<u64>) -> Build {
        let bar = match self.kind {
            Kind::Bars => {
                let bar = match expected {
                    Some(expected) => ProgressBar::new(expected),
                    None => ProgressBar::no_length(),
                };
                bar.set_style(style(expected.is_some()));
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(TICK);
                bar
            }
            Kind::Lines => {
                self.note(&format!("building {what}"));
                ProgressBar::hidden()
            }
            Kind::Silent => ProgressBar::hidden(),
        };
        Build {
            progress: *self,
            what: what.to_owned(),
            expected,
            bar,
            begun: Instant::now(),
        }
    }
}

fn style(with_length: bool) -> ProgressStyle {
    let template = if with_length {
        "{msg} [{wide_bar:.green}] {pos} of some {len} objects, {elapsed}"
    } else {
        "{msg} {spinner} {pos} objects, {elapsed}"
    };
    ProgressStyle::with_template(template)
        .expect("the template is a constant")
        .progress_chars("=> ")
}

/// A build on display; dropping it unfinished takes the bar away.
pub(crate) struct Build {
    progress: Progress,
    what: String,
    expected: Option<u64>,
    bar: ProgressBar,
    begun: Instant,
}

impl Build {
    /// Shows that one more object is being compiled.
    pub(crate) fn object(&self) {
        self.bar.inc(1);
        let count = self.bar.position();
        // More than expected is no reason for a bar that stands still.
        if self.expected.is_some_and(|expected| count > expected) {
            self.bar.set_length(count);
        }
        if self.progress.kind == Kind::Lines && count.is_multiple_of(LINE_EVERY) {
            let of = self
                .expected
                .map(|expected| format!(" of some {expected}"))
                .unwrap_or_default();
            let seconds = self.begun.elapsed().as_secs();
            self.progress.note(&format!(
                "building {}: {count}{of} objects, {seconds} s",
                self.what
            ));
        }
    }

    /// Takes the bar away and says how long it took.
    pub(crate) fn done(self) {
        let (count, seconds) = (self.bar.position(), self.begun.elapsed().as_secs_f64());
        self.bar.finish_and_clear();
        self.progress.note(&format!(
            "built {} ({count} objects) in {seconds:.1} s",
            self.what
        ));
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
