// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! fsx, the file system exerciser, in each cache mode at the same time.

use std::time::Duration;

use anyhow::{Result, bail};
use daxlab::agent::ExecRequest;
use qemu_guest::machine::ByteSize;
use qemu_guest::process::{Cache, Share};
use tokio::time::{Instant, timeout_at};

use crate::lab::{Boot, FSX, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

/// Any number will do; a failure can be seen again with it.
const SEED: &str = "20261122";
const MODES: [(&str, Cache); 4] = [
    ("auto", Cache::Auto),
    ("always", Cache::Always),
    ("metadata", Cache::Metadata),
    ("never", Cache::Never),
];

pub const GROUP: Group = Group {
    name: "fsx",
    tests: Tests::Alone(tests![Alone: in_every_cache_mode]),
};

async fn in_every_cache_mode(host: &Host) -> Result<()> {
    let mut boot = Boot::default();
    for (tag, cache) in MODES {
        let plan = Plan::new(tag)?.set(|share| Share { cache, ..share });
        boot = boot.and(plan.set(|share| share.with_window(ByteSize::mib(16))));
    }
    let lab = host.boot(boot).await?;
    tokio::try_join!(
        soak(&lab, MODES[0].0, host.soak),
        soak(&lab, MODES[1].0, host.soak),
        soak(&lab, MODES[2].0, host.soak),
        soak(&lab, MODES[3].0, host.soak),
    )?;
    lab.end().await
}

/// fsx ends by itself only when it has found something.
async fn soak(lab: &Lab<'_>, tag: &str, time: Duration) -> Result<()> {
    let path = lab.share(tag).in_guest("fsx");
    lab.sh(&format!("touch {path}")).await?;
    lab.probe(&["dax", &path]).await?;
    let script = format!("cd /tmp && exec {FSX} -q -S {SEED} {path} 2>&1");
    let mut running = lab
        .agent()
        .exec(ExecRequest::new(["sh", "-c", &script]))
        .await?;
    match timeout_at(Instant::now() + time, running.wait()).await {
        Err(_elapsed) => Ok(()),
        Ok(status) => {
            let status = status?;
            bail!("fsx on cache={tag} ended with {status} (seed {SEED})")
        }
    }
}
