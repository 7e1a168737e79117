// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest commands on the lab's own terminal or pipes.
//!
//! This executable plays two parts. Called with [`SESSION`] as its first argument it is the
//! program under test: a process that runs one command by `daxlab::terminal`. Else it holds the
//! tests; they run the first part by an agent, which gives it pipes or a terminal and plays the
//! person in front of it.

mod cases;
#[path = "../served/local.rs"]
#[expect(dead_code, reason = "made for two test programs, this one needs less")]
mod local;
mod session;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial, run};

/// The first argument of the program under test.
const SESSION: &str = "session";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, SESSION, kind, argv @ ..] = &*arguments.iter().map(|a| &**a).collect::<Vec<_>>() {
        return session::run(kind, argv);
    }
    let trials = cases::CASES.iter().map(|(name, case)| {
        Trial::test(*name, || {
            case();
            Ok(())
        })
    });
    run(&Arguments::from_args(), trials.collect()).exit_code()
}
