// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#![no_main]
#![doc = "See `daxd_fuzz::targets::command_line`."]

libfuzzer_sys::fuzz_target!(|data: &[u8]| daxd_fuzz::targets::command_line::run(data));
