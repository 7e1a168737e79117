// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Shows a build by the number of compiled units.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Kind, Progress};

/// The unit in which a build is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// Its name, in the plural.
    name: &'static str,
    /// Without a terminal, a line is printed for every so many units.
    line_every: u64,
}

impl Unit {
    /// A C compiler's output for a file.
    pub(crate) const OBJECTS: Self = Self {
        name: "objects",
        line_every: 250,
    };
    /// A Rust compiler's output for a package.
    pub(crate) const CRATES: Self = Self {
        name: "crates",
        line_every: 25,
    };
}

/// How often the clock of a bar moves when nothing else does.
const TICK: Duration = Duration::from_millis(200);

impl Progress {
    /// Begins to show a build of some `expected` units, if it is known how many.
    pub(crate) fn build(&self, what: &str, unit: Unit, expected: Option<u64>) -> Build {
        let bar = match self.kind {
            Kind::Bars => {
                let bar = match expected {
                    Some(expected) => ProgressBar::new(expected),
                    None => ProgressBar::no_length(),
                };
                bar.set_style(style(unit, expected.is_some()));
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
            unit,
            expected,
            bar,
            begun: Instant::now(),
        }
    }
}

fn style(unit: Unit, with_length: bool) -> ProgressStyle {
    let Unit { name, .. } = unit;
    let template = if with_length {
        format!("{{msg}} [{{wide_bar:.green}}] {{pos}} of some {{len}} {name}, {{elapsed}}")
    } else {
        format!("{{msg}} {{spinner}} {{pos}} {name}, {{elapsed}}")
    };
    ProgressStyle::with_template(&template)
        .expect("only the name of the unit varies")
        .progress_chars("=> ")
}

/// A displayed build. A drop before its end removes the bar.
pub(crate) struct Build {
    progress: Progress,
    what: String,
    unit: Unit,
    expected: Option<u64>,
    bar: ProgressBar,
    begun: Instant,
}

impl Build {
    /// Shows that one more is being compiled.
    pub(crate) fn one_more(&self) {
        self.bar.inc(1);
        let count = self.bar.position();
        // If there are more units than expected, the bar must not stand still.
        if self.expected.is_some_and(|expected| count > expected) {
            self.bar.set_length(count);
        }
        if self.progress.kind == Kind::Lines && count.is_multiple_of(self.unit.line_every) {
            let of = self
                .expected
                .map(|expected| format!(" of some {expected}"))
                .unwrap_or_default();
            let seconds = self.begun.elapsed().as_secs();
            self.progress.note(&format!(
                "building {}: {count}{of} {}, {seconds} s",
                self.what, self.unit.name
            ));
        }
    }

    /// Takes the bar away and says how long it took.
    pub(crate) fn done(self) {
        let (count, seconds) = (self.bar.position(), self.begun.elapsed().as_secs_f64());
        self.bar.finish_and_clear();
        self.progress.note(&format!(
            "built {} ({count} {}) in {seconds:.1} s",
            self.what, self.unit.name
        ));
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
