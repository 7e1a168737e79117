// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A window much smaller than the data that goes through it.

use anyhow::{Result, anyhow};
use futures::future::try_join_all;
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::machine::ByteSize;

use crate::lab::{Boot, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

/// Four times the window, so that each range gives way to others several times.
const WORKING_SET: u64 = 64 << 20;

pub const GROUP: Group = Group {
    name: "pressure",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario: by_mmap, by_read_and_write, by_several_in_two_shares_at_once],
    },
};

fn boot() -> Result<Boot> {
    let plan = |tag| -> Result<Plan> {
        Ok(Plan::new(tag)?.set(|share| share.with_window(ByteSize::mib(16))))
    };
    // Fewer threads than the guest has requests in flight.
    let pooled = plan("other")?.daemon_args(&["--thread-pool-size=2"]);
    Ok(Boot::with(plan("small")?).and(pooled))
}

async fn by_mmap(lab: &Lab<'_>) -> Result<()> {
    let file = Worked::new("small", "by-mmap", How::Mmap);
    file.there_and_back(lab, WORKING_SET).await
}

async fn by_read_and_write(lab: &Lab<'_>) -> Result<()> {
    let file = Worked::new("small", "by-syscall", How::Syscall);
    file.there_and_back(lab, WORKING_SET).await
}

/// Files of the same names in two shares, each with its own window.
async fn by_several_in_two_shares_at_once(lab: &Lab<'_>) -> Result<()> {
    let files = [
        Worked::new("small", "one", How::Mmap),
        Worked::new("small", "two", How::Syscall).with_seed(20),
        Worked::new("other", "one", How::Mmap).with_seed(30),
        Worked::new("other", "two", How::Syscall).with_seed(40),
    ];
    let part = WORKING_SET / files.len() as u64;
    try_join_all(files.iter().map(|file| file.there_and_back(lab, part))).await?;
    Ok(())
}

/// A file that both sides write and read.
struct Worked {
    tag: &'static str,
    name: &'static str,
    how: How,
    seed: u64,
}

impl Worked {
    fn new(tag: &'static str, name: &'static str, how: How) -> Self {
        let seed = 10;
        Self {
            tag,
            name,
            how,
            seed,
        }
    }

    /// Two files that could be mistaken for each other must have different content.
    fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The guest reads what the host wrote, writes over it, and both read that.
    async fn there_and_back(&self, lab: &Lab<'_>, size: u64) -> Result<()> {
        let share = lab.share(self.tag);
        let (path, whole) = (share.on_host(self.name), Part::first(size));
        let (first, second) = (self.seed, self.seed + 1);
        access::fill(&path, whole, Seed(first), How::Syscall)?;
        let in_guest = share.in_guest(self.name);
        lab.verify(&in_guest, whole, Seed(first), self.how).await?;
        lab.fill(&in_guest, whole, Seed(second), self.how).await?;
        lab.verify(&in_guest, whole, Seed(second), self.how).await?;
        let seen = access::verify(&path, whole, Seed(second), How::Syscall)?;
        seen.map_err(|mismatch| anyhow!("the host's {in_guest}: {mismatch}"))
    }
}
