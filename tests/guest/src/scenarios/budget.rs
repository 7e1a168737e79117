// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! QEMU aborts at 512 memory regions, over all shares of a VM. A daemon refuses mappings before
//! that, and one without a budget shows that there was something to prevent.

use std::fs::File;

use anyhow::{Context as _, Result, bail, ensure};
use guest_probe::access::How;
use guest_probe::file::{self, Part};
use guest_probe::pattern::Seed;
use qemu_guest::machine::ByteSize;

use crate::lab::{Boot, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// What Linux maps at a time; each is a memory region of QEMU's.
const RANGE: u64 = 2 * MIB;
/// Files of the greedy share and their ranges. The first two take all regions that a budget
/// grants, and leave it to the third to exceed QEMU's. Each region makes the next mapping dearer to
/// QEMU, so there are no more than needed, and only the second file's are ever removed.
const FILES: [(&str, u64); 3] = [("most", 480), ("rest", 20), ("excess", 30)];

pub const GROUP: Group = Group {
    name: "budget",
    tests: Tests::Alone(tests![Alone: a_full_table]),
};

/// A share that takes what it can get, and one whose daemon refuses while there are too many
/// regions, its own or not.
async fn a_full_table(host: &Host) -> Result<()> {
    let greedy = Plan::new("greedy")?
        .set(|share| share.with_window(ByteSize::mib(2048)))
        .daemon_args(&["--fault", "budget=none"])
        .content(|dir| {
            for (name, ranges) in FILES {
                File::create(dir.join(name))?.set_len(ranges * RANGE)?;
            }
            Ok(())
        })?;
    let part = Part::first(2 * RANGE);
    let modest = Plan::new("modest")?.content(|dir| {
        file::fill(&dir.join("before"), part, Seed(3), How::Syscall)?;
        file::fill(&dir.join("after"), part, Seed(4), How::Syscall)
    })?;
    let lab = host.boot(Boot::with(greedy).and(modest)).await?;
    let (greedy, modest) = (lab.share("greedy"), lab.share("modest"));

    verify(&lab, "before", part, "3").await?;
    for (name, _) in &FILES[..2] {
        sweep(&lab, &greedy.in_guest(name)).await?;
    }
    refuses_one_access_at_a_time(&lab, &modest.in_guest("after")).await?;
    // What was mapped before goes on.
    verify(&lab, "before", part, "3").await?;

    // Removing a file gives its ranges back.
    lab.sh(&format!("rm {}", greedy.in_guest(FILES[1].0)))
        .await?;
    verify(&lab, "after", part, "4").await?;

    if sweep(&lab, &greedy.in_guest(FILES[2].0)).await.is_ok() {
        bail!("QEMU lives with more than 512 memory regions");
    }
    lab.dies_of("nregions <= VHOST_USER_MAX_RAM_SLOTS").await
}

/// In each way as programs expect it.
async fn refuses_one_access_at_a_time(lab: &Lab<'_>, path: &str) -> Result<()> {
    for (how, told) in [("syscall", "os error"), ("mmap", "why=signal-7")] {
        let said = lab.probe_fails(&["sweep", path, "--how", how]).await?;
        ensure!(
            said.contains("touched=0 ") && said.contains(told),
            "by {how}: {said}"
        );
    }
    let log = std::fs::read_to_string(lab.vm().daemons()[1].log())?;
    ensure!(
        log.contains("memory regions in use, of 500"),
        "the daemon's log does not tell of the refusal:\n{log}"
    );
    Ok(())
}

async fn sweep(lab: &Lab<'_>, path: &str) -> Result<()> {
    let swept = lab.probe(&["sweep", path, "--how", "syscall"]).await;
    swept.map(drop).with_context(|| format!("filling {path}"))
}

async fn verify(lab: &Lab<'_>, name: &str, part: Part, seed: &str) -> Result<()> {
    let path = lab.share("modest").in_guest(name);
    let len = part.len.to_string();
    let args = [
        "verify", &path, "--len", &len, "--seed", seed, "--how", "mmap",
    ];
    lab.probe(&args).await.map(drop)
}
