// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab`: see [`daxlab::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    daxlab::cli::main()
}
