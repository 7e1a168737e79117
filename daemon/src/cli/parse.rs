// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From the process's arguments to a validated [`Config`].

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::cli::args::Args;
use crate::cli::legacy;
use crate::config::Config;
use crate::process::ExitStatus;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print the back end's capabilities and exit.
    PrintCapabilities,
    /// Serve a share.
    Serve(Box<Config>),
}

/// Parses a command line; the first item is the program's name.
///
/// # Errors
///
/// A [`clap::Error`] for a wrong command line, and for `--help` and `--version` too. It knows
/// what to print, where, and the exit code.
pub fn parse(command_line: Vec<OsString>) -> Result<Invocation, clap::Error> {
    let args = with_legacy_options(command_line)?;
    if args.print_capabilities {
        return Ok(Invocation::PrintCapabilities);
    }
    let config =
        Config::try_from(args).map_err(|error| usage_error(ErrorKind::ArgumentConflict, error))?;
    Ok(Invocation::Serve(Box::new(config)))
}

/// The options, the items of `-o` counted as long options that stand last.
fn with_legacy_options(mut command_line: Vec<OsString>) -> Result<Args, clap::Error> {
    let args = Args::try_parse_from(&command_line)?;
    if args.legacy.compat_options.is_empty() {
        return Ok(args);
    }
    for list in &args.legacy.compat_options {
        let long = legacy::long_options(list)
            .map_err(|error| usage_error(ErrorKind::InvalidValue, error))?;
        command_line.extend(long.into_iter().map(OsString::from));
    }
    Args::try_parse_from(&command_line)
}

/// One sentence in clap's form, with its exit code.
fn usage_error(kind: ErrorKind, error: impl std::error::Error) -> clap::Error {
    Args::command().error(kind, error)
}

/// Prints help, version or an error of [`parse`] where it belongs, and says how to exit.
#[must_use]
pub fn report(message: &clap::Error) -> ExitStatus {
    // Fails if stdout and stderr are closed, and can't be reported then.
    let _ = message.print();
    match message.exit_code() {
        0 => ExitStatus::Orderly,
        _ => ExitStatus::Usage,
    }
}
