// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A mapping becomes writable while readers use it.

use std::path::Path;

use anyhow::{Result, ensure};
use guest_agent::access::{self, How, Part, Upgrade, Who};
use guest_agent::pattern::Seed;

use crate::lab::{Boot, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

/// Each range is one try.
const SIZE: u64 = 64 << 20;
/// The writers that make the ranges writable, and their files.
const WRITERS: [(Who, &str); 2] = [(Who::Thread, "thread"), (Who::Process, "process")];

const SOUND: &str = "sound";
const FAULTY: &str = "faulty";

pub const GROUP: Group = Group {
    name: "upgrade",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario: readers_see_no_hole, a_remap_is_caught],
    },
};

/// A share with the daemon as it is, and one whose daemon unmaps before it maps again.
fn boot() -> Result<Boot> {
    let faulty = plan(FAULTY)?.daemon_args(&["--fault", "upgrade=remap"]);
    Ok(Boot::with(plan(SOUND)?).and(faulty))
}

async fn readers_see_no_hole(lab: &Lab<'_>) -> Result<()> {
    for (writer, name) in WRITERS {
        let path = lab.share(SOUND).in_guest(name).into();
        let seen = lab.op(Upgrade { path, writer }).await?;
        ensure!(seen.holes == 0, "{name}: {seen:?}");
    }
    Ok(())
}

/// The test above can fail: it detects a daemon that unmaps before it maps again.
async fn a_remap_is_caught(lab: &Lab<'_>) -> Result<()> {
    for (writer, name) in WRITERS {
        let path = lab.share(FAULTY).in_guest(name).into();
        let seen = lab.op(Upgrade { path, writer }).await?;
        ensure!(seen.holes > 0, "{name}: {seen:?}");
    }
    Ok(())
}

/// A file for each writer, since each writer needs a file that was not mapped before.
fn plan(tag: &str) -> Result<Plan> {
    let fill = |file: &Path| access::fill(file, Part::first(SIZE), Seed(1), How::Syscall);
    Plan::new(tag)?.content(|dir| {
        WRITERS
            .iter()
            .try_for_each(|(_, name)| fill(&dir.join(name)))
    })
}
