// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Colour, for those who can see it; nothing is said by colour alone.

use std::io::{self, IsTerminal as _};

use serde::Serialize;

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// No escape sequences at all.
    #[default]
    Off,
    /// ANSI colours.
    On,
}

/// How a text is to be seen: a colour at a terminal, a class on a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// As expected.
    Good,
    /// As expected, and harmful all the same.
    Known,
    /// Not as expected.
    Bad,
    /// The lab's own failure.
    Lab,
    /// Nothing to look at.
    #[default]
    Dim,
}

impl Colour {
    /// What standard output should get: colour on a terminal, unless NO_COLOR is set to something
    /// (<https://no-color.org>).
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
