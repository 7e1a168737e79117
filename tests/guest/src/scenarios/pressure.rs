// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A window much smaller than what goes through it.

use anyhow::{Result, anyhow};
use guest_probe::access::How;
use guest_probe::file::{self, Part};
use guest_probe::pattern::Seed;
use qemu_guest::machine::ByteSize;

use crate::lab::{Boot, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const WORKING_SET: u64 = 128 << 20;

pub const GROUP: Group = Group {
    name: "pressure",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario: by_mmap, by_read_and_write, by_several_at_once],
    },
};

fn boot() -> Result<Boot> {
    let plan = Plan::new("small")?.set(|share| share.with_window(ByteSize::mib(16)));
    Ok(Boot::with(plan))
}

async fn by_mmap(lab: &Lab<'_>) -> Result<()> {
    there_and_back(lab, "by-mmap", WORKING_SET, "mmap").await
}

async fn by_read_and_write(lab: &Lab<'_>) -> Result<()> {
    there_and_back(lab, "by-syscall", WORKING_SET, "syscall").await
}

async fn by_several_at_once(lab: &Lab<'_>) -> Result<()> {
    let part = WORKING_SET / 4;
    tokio::try_join!(
        there_and_back(lab, "one", part, "mmap"),
        there_and_back(lab, "two", part, "syscall"),
        there_and_back(lab, "three", part, "mmap"),
        there_and_back(lab, "four", part, "syscall"),
    )?;
    Ok(())
}

/// The guest reads what the host wrote, writes over it, and both read that.
async fn there_and_back(lab: &Lab<'_>, name: &str, size: u64, how: &str) -> Result<()> {
    let (path, whole) = (lab.first().on_host(name), Part::first(size));
    file::fill(&path, whole, Seed(1), How::Syscall)?;
    let (in_guest, len) = (lab.first().in_guest(name), size.to_string());
    for (command, seed) in [("verify", "1"), ("fill", "2"), ("verify", "2")] {
        let args = [
            command, &in_guest, "--len", &len, "--seed", seed, "--how", how,
        ];
        lab.probe(&args).await?;
    }
    let seen = file::verify(&path, whole, Seed(2), How::Syscall)?;
    seen.map_err(|mismatch| anyhow!("the host's {name}: {mismatch}"))
}
