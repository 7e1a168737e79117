// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All targets in one program of cargo-fuzz. `DAXD_FUZZ_TARGET` names the target to run, so a new
//! target needs no program of its own.
#![no_main]

use std::sync::LazyLock;

use daxd_fuzz::targets::{self, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("DAXD_FUZZ_TARGET").unwrap_or_default();
    targets::named(&name).unwrap_or_else(|| {
        let names: Vec<_> = targets::ALL.iter().map(|target| target.name).collect();
        panic!("DAXD_FUZZ_TARGET={name:?} names no target; there are {names:?}")
    })
});

libfuzzer_sys::fuzz_target!(init: LazyLock::force(&TARGET), |data: &[u8]| (TARGET.run)(data));
