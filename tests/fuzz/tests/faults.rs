// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each oracle fails once: a fault strikes, and the oracle's message is about that fault.
//!
//! There is a single test, as in `replay.rs`.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use daxd_fuzz::fault::{self, Fault};
use daxd_fuzz::targets;

#[test]
fn every_oracle_notices_what_it_is_there_for() {
    let mut shown = Vec::new();
    for target in targets::ALL {
        for row in target.faults {
            shown.push(row.fault);
            let (fault, name) = (row.fault, target.name);
            let input = seed(name, row.seed);
            (target.run)(&input);
            let strike = || fault::with(fault, || (target.run)(&input));
            let Err(payload) = catch_unwind(AssertUnwindSafe(strike)) else {
                panic!("{fault:?} in {name} went unnoticed");
            };
            let said = said(&*payload);
            let start: String = said.chars().take(100).collect();
            println!("{fault:?} in {name}: {start}");
            assert!(said.contains(row.message), "{fault:?} in {name}: {said}");
        }
    }
    assert!(Fault::NOTICED.iter().all(|fault| shown.contains(fault)));
}

fn seed(target: &str, name: &str) -> Vec<u8> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let path = corpora.join(target).join(format!("seed-{name}"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The message of a panic.
fn said(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .expect("a panic with a message")
}
