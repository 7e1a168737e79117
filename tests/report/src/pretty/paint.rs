// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Colour, for those who can see it; nothing is said by colour alone.

use std::io::{self, IsTerminal as _};

use super::words::Tone;

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// No escape sequences at all.
    #[default]
    Plain,
    /// ANSI colours.
    Colour,
}

impl Paint {
    /// What standard output should get: colour on a terminal, unless NO_COLOR is set to something
    /// (<https://no-color.org>).
    pub fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if !refused && io::stdout().is_terminal() {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    /// Appends a text in a tone.
    pub fn push(self, tone: Tone, text: &str, out: &mut String) {
        let code = match tone {
            Tone::Good => "32",
            Tone::Known => "33",
            Tone::Bad => "1;31",
            Tone::Lab => "1;35",
            Tone::Dim => "2",
        };
        match self {
            Self::Plain => out.push_str(text),
            Self::Colour => out.extend(["\x1b[", code, "m", text, "\x1b[0m"]),
        }
    }
}
