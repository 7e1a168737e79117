// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From two files to an exit status.

use std::io::Write;

use anyhow::Result;

use super::{DiffArgs, compare, show::show};
use crate::{format::put, json::read, model::Conclusion};

/// Prints what changed.
///
/// # Errors
///
/// If a file can't be read, or the differences can't be printed.
pub fn run(args: &DiffArgs, out: &mut dyn Write) -> Result<Conclusion> {
    let before = read(&args.before)?;
    let after = read(&args.after)?;
    let changes = compare(&before, &after);
    put(&show(&changes), out)?;
    Ok(match changes.regressions().next() {
        Some(_) => Conclusion::Unexpected,
        None => Conclusion::Expected,
    })
}
