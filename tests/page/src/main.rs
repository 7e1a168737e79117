// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `page-tests`: see [`page_tests::runner`].

use std::process::ExitCode;

fn main() -> ExitCode {
    page_tests::runner::main()
}
