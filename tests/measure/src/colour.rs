// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Colour as an addition: no information depends on colour alone.

use std::io::{self, IsTerminal as _};

use serde::Serialize;

/// Whether to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// No escape sequences.
    #[default]
    Off,
    /// ANSI colours.
    On,
}

/// The kind of a text: a colour on a terminal, a class on a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// As expected.
    Good,
    /// As expected, and still harmful.
    Known,
    /// Not as expected.
    Bad,
    /// A failure of the lab itself.
    Lab,
    /// Nothing remarkable.
    #[default]
    Dim,
}

impl Colour {
    /// The setting for standard output: colours on a terminal, unless NO_COLOR is set to a
    /// non-empty value (<https://no-color.org>).
    pub fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if !refused && io::stdout().is_terminal() {
            Self::On
        } else {
            Self::Off
        }
    }

    /// Appends a text in a tone.
    pub(crate) fn push(self, tone: Tone, text: &str, out: &mut String) {
        let code = match tone {
            Tone::Good => "32",
            Tone::Known => "33",
            Tone::Bad => "1;31",
            Tone::Lab => "1;35",
            Tone::Dim => "2",
        };
        match self {
            Self::Off => out.push_str(text),
            Self::On => out.extend(["\x1b[", code, "m", text, "\x1b[0m"]),
        }
    }
}
