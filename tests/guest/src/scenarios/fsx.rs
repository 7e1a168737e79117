// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! fsx, the file system exerciser, in each cache mode at the same time.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{FutureExt as _, StreamExt as _};
use inotify::{Inotify, WatchMask};
use qemu_guest::vm::agent::{ExecRequest, Running};
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::{Cache, Share};
use tokio::time::{Instant, timeout};

use crate::lab::{Boot, FSX, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

/// How long fsx may take to find a byte that another writer changed.
const FIND_DEADLINE: Duration = Duration::from_secs(120);
const PAGE: usize = 4096;
/// The seed of the first run; any number will do. A failure is reproduced with the seed of its run.
const SEED: u64 = 20_261_122;
/// Operations of one run: a run takes some seconds, so that a soak has several.
const OPERATIONS: &str = "500";
/// A soak has at least this many runs, however long they take.
const MIN_RUNS: u64 = 2;
/// How long one run may take beside three others in an emulated guest.
const RUN_DEADLINE: Duration = Duration::from_secs(600);
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

/// The soak can fail: fsx detects a write of the host.
async fn finds_a_byte_that_it_did_not_write(host: &Host) -> Result<()> {
    let lab = host.boot(Boot::with(Plan::new("auto")?)).await?;
    let mut running = start(&lab, "auto", SEED, &[]).await?;
    let path = lab.first().on_host("fsx");
    let meddle = async {
        let file = File::options().read(true).write(true).open(&path)?;
        let inotify = Inotify::init()?;
        inotify.watches().add(&path, WatchMask::MODIFY)?;
        let mut changes = inotify.into_event_stream([0; 4096])?;
        loop {
            // fsx may cut off or overwrite the changed bytes before it reads them. But then the
            // file grows again by a write, which inotify reports here: mappings don't grow files.
            changes.next().await.context("inotify has ended")??;
            spoil(&file)?;
            // The events of our own writes are dropped.
            while changes.next().now_or_never().is_some() {}
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

/// Changes a byte in every page.
fn spoil(file: &File) -> Result<()> {
    let size = file.metadata()?.len();
    for offset in (0..size).step_by(PAGE) {
        let mut byte = [0];
        // fsx may truncate the file meanwhile. This write must not make the file grow.
        if file.read_at(&mut byte, offset)? == 1 {
            file.write_all_at(&[!byte[0]], offset)?;
        }
    }
    Ok(())
}

/// Runs fsx repeatedly for `time`. Each run makes a number of operations and checks every byte that
/// it reads. The number of runs distinguishes a soak from a hang.
async fn soak(lab: &Lab<'_>, tag: &str, time: Duration) -> Result<()> {
    let begin = Instant::now();
    let mut runs = 0;
    while begin.elapsed() < time || runs < MIN_RUNS {
        let seed = SEED + runs;
        let mut running = start(lab, tag, seed, &["-N", OPERATIONS]).await?;
        let what = || format!("fsx on cache={tag}, operations 1 to {OPERATIONS} of seed {seed}");
        let ended = timeout(RUN_DEADLINE, running.wait()).await;
        let status = ended
            .with_context(|| format!("{} did not end in {RUN_DEADLINE:?}", what()))?
            .with_context(what)?;
        ensure!(status.success(), "{} ended with {status}", what());
        runs += 1;
    }
    let seconds = begin.elapsed().as_secs();
    println!("      cache={tag}: {runs} times {OPERATIONS} operations in {seconds} s");
    Ok(())
}

async fn start(lab: &Lab<'_>, tag: &str, seed: u64, args: &[&str]) -> Result<Running> {
    let path = lab.share(tag).in_guest("fsx");
    lab.sh(&format!("touch {path}")).await?;
    lab.expect_dax(&path).await?;
    let args = args.join(" ");
    let script = format!("cd /tmp && exec {FSX} -q -S {seed} {args} {path} 2>&1");
    Ok(lab
        .agent()
        .exec(ExecRequest::new(["sh", "-c", &script]))
        .await?)
}
