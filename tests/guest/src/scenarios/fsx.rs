// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! fsx, the file system exerciser, in each cache mode at the same time.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use daxlab::agent::{ExecRequest, Running};
use qemu_guest::machine::ByteSize;
use qemu_guest::process::{Cache, Share};
use tokio::time::{Instant, timeout, timeout_at};

use crate::lab::{Boot, FSX, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

/// How long fsx may take to come across a byte that somebody else wrote.
const FIND_DEADLINE: Duration = Duration::from_secs(120);
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
    tests: Tests::Alone(tests![Alone: in_every_cache_mode, finds_a_byte_that_it_did_not_write]),
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

/// The soak can fail: what the host writes behind its back is seen.
async fn finds_a_byte_that_it_did_not_write(host: &Host) -> Result<()> {
    let lab = host.boot(Boot::with(Plan::new("auto")?)).await?;
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(lab.first().on_host("fsx"))?;
    let mut running = start(&lab, "auto").await?;
    let meddle = async {
        loop {
            // The file's first byte may be cut off or overwritten before fsx looks at it again.
            file.write_all_at(&[0x5a], 0)?;
            tokio::task::yield_now().await;
        }
        #[expect(unreachable_code, reason = "it gives the loop's type")]
        anyhow::Ok(())
    };
    let status = tokio::select! {
        ended = timeout(FIND_DEADLINE, running.wait()) => ended.context("fsx found nothing")??,
        failed = meddle => return failed,
    };
    ensure!(!status.success(), "fsx ended with {status}");
    lab.end().await
}

/// fsx ends by itself only when it has found something.
async fn soak(lab: &Lab<'_>, tag: &str, time: Duration) -> Result<()> {
    let mut running = start(lab, tag).await?;
    match timeout_at(Instant::now() + time, running.wait()).await {
        Err(_elapsed) => Ok(()),
        Ok(status) => {
            let status = status?;
            bail!("fsx on cache={tag} ended with {status} (seed {SEED})")
        }
    }
}

async fn start(lab: &Lab<'_>, tag: &str) -> Result<Running> {
    let path = lab.share(tag).in_guest("fsx");
    lab.sh(&format!("touch {path}")).await?;
    lab.probe(&["dax", &path]).await?;
    let script = format!("cd /tmp && exec {FSX} -q -S {SEED} {path} 2>&1");
    Ok(lab
        .agent()
        .exec(ExecRequest::new(["sh", "-c", &script]))
        .await?)
}
