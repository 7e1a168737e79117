// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Values of options, passed on to another daxlab.

use clap::ValueEnum;

/// What a command line has for this value; nothing for one that clap skips.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    let word = value.to_possible_value();
    word.map_or_else(String::new, |word| word.get_name().to_owned())
}
