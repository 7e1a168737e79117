// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `guest-actor`: takes orders on standard input, a line each, and answers each with a line on
//! standard output. See [`dax_cases::actor`].

use std::process::ExitCode;

fn main() -> ExitCode {
    match dax_cases::actor::play(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-actor: {error}");
            ExitCode::FAILURE
        }
    }
}
