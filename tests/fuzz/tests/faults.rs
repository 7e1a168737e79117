// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each oracle fails once: a fault strikes, and the oracle's message is about that fault.
//!
//! There is a single test, as in `replay.rs`.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use daxd_fuzz::fault::{self, Fault};
use daxd_fuzz::targets;

/// The fault, the target, the seed in which it strikes, and the oracle's message.
const TABLE: [(Fault, &str, &str, &str); 18] = {
    use Fault::{
        BurnTime, CreateOutside, DoubleReply, ForgetMapping, HugeAllocation, KeepGroup, KeepUmask,
        LeakDescriptor, LeakMemory, LeakThread, LongReply, LoseReply, Panic, ReadOutside,
        WriteOutside, WrongUnique,
    };
    [
        (
            LeakDescriptor,
            "fuse_chain",
            "seed-list",
            "leaves something behind",
        ),
        (
            LeakMemory,
            "fuse_chain",
            "seed-list",
            "leaves something behind",
        ),
        (
            HugeAllocation,
            "fuse_chain",
            "seed-list",
            "were allocated at once",
        ),
        (BurnTime, "fuse_chain", "seed-list", "of processor time"),
        (
            Panic,
            "fuse_chain",
            "seed-list",
            "a fault that was asked for",
        ),
        (
            ReadOutside,
            "fuse_chain",
            "seed-list",
            "files outside the share",
        ),
        (
            WriteOutside,
            "fuse_chain",
            "seed-list",
            "files outside the share",
        ),
        (
            CreateOutside,
            "fuse_chain",
            "seed-list",
            "files outside the share",
        ),
        (
            ReadOutside,
            "virtqueue",
            "seed-lookup",
            "files outside the share",
        ),
        (KeepUmask, "fuse_chain", "seed-list", "the thread was"),
        (KeepGroup, "fuse_chain", "seed-list", "the thread was"),
        (
            LoseReply,
            "fuse_chain",
            "seed-list",
            "requests that were returned",
        ),
        (
            LoseReply,
            "virtqueue",
            "seed-lookup",
            "were lost or abandoned",
        ),
        (
            DoubleReply,
            "fuse_chain",
            "seed-list",
            "requests that were returned",
        ),
        (
            LongReply,
            "fuse_chain",
            "seed-list",
            "where there is room for",
        ),
        (WrongUnique, "fuse_chain", "seed-list", "the reply to"),
        (
            ForgetMapping,
            "window",
            "seed-daemon-remove",
            "the VMM's mappings",
        ),
        (
            LeakThread,
            "vhost_user",
            "seed-start",
            "for the session's threads",
        ),
    ]
};

/// The same for a fault that strikes below the daemon.
const LIBRARY: (Fault, &str, &str, &str) = (
    Fault::ForgetMapping,
    "window",
    "seed-library-0",
    "expected Expected",
);

#[test]
fn every_oracle_notices_what_it_is_there_for() {
    for (fault, target, seed, expected) in TABLE.into_iter().chain([LIBRARY]) {
        let (_, run) = targets::ALL
            .into_iter()
            .find(|(name, _)| *name == target)
            .expect("a target");
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target)
            .join(seed);
        let input = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        run(&input);
        let outcome = catch_unwind(AssertUnwindSafe(|| fault::with(fault, || run(&input))));
        let Err(payload) = outcome else {
            panic!("{fault:?} in {target} went unnoticed");
        };
        let said = payload
            .downcast_ref::<String>()
            .cloned()
            .unwrap_or_else(|| {
                let said = payload.downcast_ref::<&str>();
                (*said.expect("a panic with a message")).to_owned()
            });
        println!(
            "{fault:?} in {target}: {}",
            said.chars().take(100).collect::<String>()
        );
        assert!(said.contains(expected), "{fault:?} in {target}: {said}");
    }
    let shown: Vec<_> = TABLE.iter().map(|(fault, ..)| *fault).collect();
    assert!(Fault::NOTICED.iter().all(|fault| shown.contains(fault)));
}
