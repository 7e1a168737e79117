// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sleeps for the seconds that its argument says, whatever it is called: busybox's `sleep` is none
//! once it has been copied to another name, as suites of tests do to have a program that runs.

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    let seconds = env::args().nth(1).and_then(|text| text.parse().ok());
    let Some(seconds) = seconds else {
        eprintln!("guest-sleep: give a number of seconds");
        return ExitCode::from(2);
    };
    thread::sleep(Duration::from_secs(seconds));
    ExitCode::SUCCESS
}
