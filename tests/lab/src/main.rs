// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab`: see [`daxlab::cli`].

use std::process::ExitCode;

/// The version. A package's build adds the commit that it is made from (daemon/dist/build.sh). It is
/// named here, so that another commit builds nothing but this file anew.
const VERSION: &str = match option_env!("VIRTIOFS_DAX_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    daxlab::cli::main(VERSION)
}
