// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab qemu`, and the option of the other commands that names a QEMU.

use clap::{
    Args, Subcommand,
    builder::{OsStringValueParser, TypedValueParser as _, ValueParser},
};
use qemu_guest::artifacts::QemuSpec;

/// Lists the QEMUs that guests can run on, and builds the one that is built
///
/// `--qemu series` gets what it needs by itself; this is to have it beforehand.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0; 2 for a mistake on this command line; 3 if it could not be had."
)]
pub struct QemuArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Lists all QEMUs that have names, and which of them are there
    List,
    /// Builds QEMU from Debian's source with the patches in qemu/patches, in which a window is one
    /// memory region: some minutes
    Build,
}

/// Which QEMU guests run on.
#[derive(Debug, Args)]
pub struct QemuArg {
    /// The QEMU: stock, series (built with the patches in qemu/patches), series:stock (the same,
    /// with a window as without them), or the path of a qemu-system-x86_64 of 11.1 or newer
    /// [default: stock, or what DAXLAB_QEMU names]
    #[arg(long, value_name = "QEMU", value_parser = spec())]
    qemu: Option<QemuSpec>,
}

impl QemuArg {
    /// The QEMU of the option, or the default.
    pub fn spec(&self) -> QemuSpec {
        let asked = self.qemu.clone();
        asked.unwrap_or_else(QemuSpec::from_environment)
    }
}

/// The parser of the option's value.
pub fn spec() -> ValueParser {
    OsStringValueParser::new().map(QemuSpec::from).into()
}
