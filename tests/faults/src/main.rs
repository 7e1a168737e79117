// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daemon-faults`: see [`daemon_faults::runner`].

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon_faults::runner::main()
}
