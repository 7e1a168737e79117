// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A mapping becomes writable while readers use it.

use std::path::Path;

use anyhow::{Result, ensure};
use guest_agent::access::{self, How, Part, Upgrade, Who};
use guest_agent::pattern::Seed;

use crate::lab::{Boot, Host, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

/// Each range is one try.
const SIZE: u64 = 64 << 20;
/// The writers that make the ranges writable, and their files.
const WRITERS: [(Who, &str); 2] = [(Who::Thread, "thread"), (Who::Process, "process")];

pub const GROUP: Group = Group {
    name: "upgrade",
    tests: Tests::Alone(tests![Alone: readers_see_no_hole, a_remap_is_caught]),
};

async fn readers_see_no_hole(host: &Host) -> Result<()> {
    let lab = host.boot(Boot::with(plan()?)).await?;
    for (writer, name) in WRITERS {
        let path = lab.first().in_guest(name).into();
        let seen = lab.op(Upgrade { path, writer }).await?;
        ensure!(seen.holes == 0, "{name}: {seen:?}");
    }
    lab.end().await
}

/// The test above can fail: it detects a daemon that unmaps before it maps again.
async fn a_remap_is_caught(host: &Host) -> Result<()> {
    let plan = plan()?.daemon_args(&["--fault", "upgrade=remap"]);
    let lab = host.boot(Boot::with(plan)).await?;
    for (writer, name) in WRITERS {
        let path = lab.first().in_guest(name).into();
        let seen = lab.op(Upgrade { path, writer }).await?;
        ensure!(seen.holes > 0, "{name}: {seen:?}");
    }
    lab.end().await
}

/// A file for each writer, since each writer needs a file that was not mapped before.
fn plan() -> Result<Plan> {
    let fill = |file: &Path| access::fill(file, Part::first(SIZE), Seed(1), How::Syscall);
    Plan::new("upgrade")?.content(|dir| {
        WRITERS
            .iter()
            .try_for_each(|(_, name)| fill(&dir.join(name)))
    })
}
