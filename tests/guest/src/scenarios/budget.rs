// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! More mappings than QEMU survives are asked for, over two shares with windows in one VM.

use std::fs::File;

use anyhow::{Context as _, Result, ensure};
use guest_probe::access::How;
use guest_probe::file::{self, Part};
use guest_probe::pattern::Seed;
use qemu_guest::machine::ByteSize;

use crate::lab::{Boot, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// Ranges of the large file; QEMU aborts at 512 regions in all.
const RANGES: u64 = 510;

pub const GROUP: Group = Group {
    name: "budget",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario:
            two_shares_side_by_side,
            a_full_table_refuses_one_access_at_a_time,
        ],
    },
};

fn boot() -> Result<Boot> {
    let large = Plan::new("large")?.set(|share| share.with_window(ByteSize::mib(2048)));
    let other = Plan::new("other")?;
    Ok(Boot::with(large).and(other))
}

async fn two_shares_side_by_side(lab: &Lab<'_>) -> Result<()> {
    let go = |tag: &'static str, seed: u64| async move {
        let (share, part) = (lab.share(tag), Part::first(32 * MIB + 3));
        file::fill(&share.on_host("both"), part, Seed(seed), How::Syscall)?;
        verify(lab, tag, "both", part, seed).await
    };
    tokio::try_join!(go("large", 1), go("other", 2))?;
    Ok(())
}

/// Filling the window takes QEMU longer with every mapping, so all that the full one is good for is
/// tried at once.
async fn a_full_table_refuses_one_access_at_a_time(lab: &Lab<'_>) -> Result<()> {
    let (large, other) = (lab.share("large"), lab.share("other"));
    let part = Part::first(4 * MIB);
    file::fill(&other.on_host("before"), part, Seed(3), How::Syscall)?;
    file::fill(&other.on_host("after"), part, Seed(4), How::Syscall)?;
    verify(lab, "other", "before", part, 3).await?;

    File::create(large.on_host("sparse"))?.set_len(RANGES * 2 * MIB)?;
    let sparse = large.in_guest("sparse");
    let said = lab
        .probe_fails(&["sweep", &sparse, "--how", "syscall"])
        .await?;
    let touched = number(&said, "touched=")?;
    ensure!(
        (400..512).contains(&touched),
        "an unlikely number of mappings: {said}"
    );

    // What was mapped before goes on; what needs a mapping fails, in the other share too, and in
    // each way as programs expect it.
    verify(lab, "other", "before", part, 3).await?;
    let after = other.in_guest("after");
    let by_read = lab
        .probe_fails(&["sweep", &after, "--how", "syscall"])
        .await?;
    ensure!(
        by_read.contains("touched=0 ") && by_read.contains("os error"),
        "{by_read}"
    );
    let by_mmap = lab.probe_fails(&["sweep", &after, "--how", "mmap"]).await?;
    ensure!(
        by_mmap.contains("touched=0 ") && by_mmap.contains("why=signal-7"),
        "{by_mmap}"
    );

    // Removing the file gives its ranges back.
    lab.sh(&format!("rm {sparse}")).await?;
    verify(lab, "other", "after", part, 4).await
}

async fn verify(lab: &Lab<'_>, tag: &str, name: &str, part: Part, seed: u64) -> Result<()> {
    let path = lab.share(tag).in_guest(name);
    let (len, seed) = (part.len.to_string(), seed.to_string());
    let args = [
        "verify", &path, "--len", &len, "--seed", &seed, "--how", "mmap",
    ];
    lab.probe(&args).await.map(drop)
}

fn number(text: &str, label: &str) -> Result<u64> {
    let word = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix(label));
    Ok(word
        .with_context(|| format!("no {label} in {text:?}"))?
        .parse()?)
}
