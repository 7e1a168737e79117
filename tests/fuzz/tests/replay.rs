// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Plays the corpora and random inputs without libFuzzer.
//!
//! There is a single test: the test counts the resources of the process, and would count another
//! test's, too.

use std::fs;
use std::path::Path;

use daxd_fuzz::targets;

/// Random inputs for each target.
const RANDOM: u64 = 200;

#[test]
fn nothing_in_the_corpora_breaks_a_rule() {
    for target in targets::ALL {
        let (name, run) = (target.name, target.run);
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut played = 0;
        for entry in fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        {
            let path = entry.expect("an entry").path();
            println!("{}", path.display());
            run(&fs::read(&path).expect("an input"));
            played += 1;
        }
        assert!(played > 0, "{} is empty", dir.display());
        for seed in 0..RANDOM {
            println!("{name}: seed {seed}");
            run(&random(seed));
        }
    }
}

/// Pseudo-random bytes that are the same in each run.
fn random(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..next() % 512).map(|_| next() as u8).collect()
}
