// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `guest-reclaim`: takes orders on standard input, a line each, and answers each with a line on
//! standard output. See [`dax_reclaim::guest`].

use std::process::ExitCode;

fn main() -> ExitCode {
    match dax_reclaim::guest::serve(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest-reclaim: {error}");
            ExitCode::FAILURE
        }
    }
}
