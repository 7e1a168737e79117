// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `guest-agent`: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    guest_agent::agent::start()
}
