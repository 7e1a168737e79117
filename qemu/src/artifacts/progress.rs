// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! How a download or a build is shown: a bar on a terminal, lines elsewhere, or nothing.
//! Everything goes to standard error; standard output belongs to the caller's command.

mod build;

use std::io::{self, IsTerminal, Write};
use std::time::Instant;

pub(crate) use build::Unit;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// Where to show progress; cheap to clone.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bars,
    Lines,
    Silent,
}

impl Progress {
    /// A bar if standard error is a terminal, else one line as each artifact begins and ends.
    pub fn auto() -> Self {
        let kind = if io::stderr().is_terminal() {
            Kind::Bars
        } else {
            Kind::Lines
        };
        Self { kind }
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self { kind: Kind::Silent }
    }

    /// Prints one message.
    pub fn note(&self, text: &str) {
        if self.kind != Kind::Silent {
            // A closed standard error must not end a download.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Begins to show a download of `bytes` bytes.
    pub(crate) fn download(&self, what: &str, bytes: u64) -> Download {
        let bar = match self.kind {
            Kind::Bars => {
                let bar = ProgressBar::new(bytes).with_message(what.to_owned());
                bar.set_style(style());
                bar
            }
            Kind::Lines => {
                self.note(&format!("fetching {what} ({})", HumanBytes(bytes)));
                ProgressBar::hidden()
            }
            Kind::Silent => ProgressBar::hidden(),
        };
        Download {
            progress: *self,
            what: what.to_owned(),
            bytes,
            bar,
            begun: Instant::now(),
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{msg} [{wide_bar:.green}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    )
    .expect("the template is a constant")
    .progress_chars("=> ")
}

/// A displayed download. A drop before its end removes the bar.
pub(crate) struct Download {
    progress: Progress,
    what: String,
    bytes: u64,
    bar: ProgressBar,
    begun: Instant,
}

impl Download {
    /// Shows that this percentage of the whole has arrived.
    pub(crate) fn percent(&self, percent: f64) {
        let share = (percent / 100.0).clamp(0.0, 1.0);
        self.bar.set_position((self.bytes as f64 * share) as u64);
    }

    /// Removes the bar and prints the time that the download took.
    pub(crate) fn done(self) {
        self.bar.finish_and_clear();
        let seconds = self.begun.elapsed().as_secs_f64();
        self.progress.note(&format!(
            "fetched {} ({}) in {seconds:.1} s",
            self.what,
            HumanBytes(self.bytes)
        ));
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
