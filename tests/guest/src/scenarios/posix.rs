// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! File system semantics, compared test by test with virtiofsd: the same guest, the same QEMU, the
//! same kind of folder.

use std::num::NonZeroU16;

use anyhow::{Context as _, Result, ensure};
use qemu_guest::artifacts::virtiofsd;
use qemu_guest::vm::process::{Cache, Share};
use tokio::time::Instant;

use crate::lab::{Boot, Host, Lab, Plan, Shared};
use crate::pjdfstest::{self, Comparison, Outcomes};
use crate::scenario::{Group, Tests};
use crate::tests;

/// The suite has 398 tests, and one of them needs a feature that FUSE lacks. A run with fewer tests
/// is incomplete.
const MIN_RAN: usize = 397;
/// Tests that check, among other things, the owner of a new file.
const OF_OWNERS: &[&str] = &["::mkdir::", "::mkfifo::"];

// The suite makes paths of the greatest length, and miscounts below a folder of certain lengths.
// All three shares have names of the same length, which is none of these.
const WINDOW: &str = "window";
const PLAIN: &str = "no-dax";
const PEER: &str = "theirs";

pub const GROUP: Group = Group {
    name: "posix",
    tests: Tests::Alone(tests![Alone:
        no_failure_of_our_own,
        nor_with_two_queues_and_a_full_cache,
        a_wrong_owner_is_caught,
    ]),
};

/// With a window and without one.
async fn no_failure_of_our_own(host: &Host) -> Result<()> {
    let boot = Boot::with(peer(host)?).and(plain()?);
    held_to_the_peer(host.boot(boot.and(Plan::new(WINDOW)?)).await?).await
}

/// virtiofsd has one queue only, so it is compared with one.
async fn nor_with_two_queues_and_a_full_cache(host: &Host) -> Result<()> {
    let cached = |share| Share {
        cache: Cache::Always,
        ..share
    };
    let window = Plan::new(WINDOW)?.set(|share| Share {
        queues: NonZeroU16::new(2).expect("two is not zero"),
        ..cached(share)
    });
    let boot = Boot::with(peer(host)?.set(cached)).and(window);
    held_to_the_peer(host.boot(boot).await?).await
}

/// Runs the whole suite on all shares. No share may fail a test that the peer passes.
async fn held_to_the_peer(lab: Lab<'_>) -> Result<()> {
    pjdfstest::prepare(&lab).await?;
    let file = lab.share(WINDOW).in_guest("file");
    lab.sh(&format!("touch {file}")).await?;
    lab.expect_dax(&file).await?;

    let (mut worse, mut theirs) = (Vec::new(), None);
    for share in lab.shares().iter().filter(|share| share.tag != PEER) {
        let ours = whole(&lab, share).await?;
        // The peer can only excuse failures.
        if ours.failed().next().is_none() {
            continue;
        }
        if theirs.is_none() {
            theirs = Some(whole(&lab, lab.share(PEER)).await?);
        }
        let comparison = Comparison::of(&ours, theirs.as_ref().expect("it was just run"));
        println!("      {}: {}", share.tag, comparison.counts());
        if !comparison.worse.is_empty() {
            worse.push(format!("{}: {comparison}", share.tag));
        }
    }
    ensure!(worse.is_empty(), "{}", worse.join("\n"));
    lab.end().await
}

/// The comparison can fail: a daemon that gives new files to root differs from virtiofsd.
async fn a_wrong_owner_is_caught(host: &Host) -> Result<()> {
    let squashed = ["--translate-uid", "squash-guest:0:0:4294967295"];
    let boot = Boot::with(peer(host)?).and(plain()?.daemon_args(&squashed));
    let lab = host.boot(boot).await?;
    pjdfstest::prepare(&lab).await?;
    let theirs = pjdfstest::some(&lab, lab.share(PEER), OF_OWNERS).await?;
    let ours = pjdfstest::some(&lab, lab.share(PLAIN), OF_OWNERS).await?;
    let comparison = Comparison::of(&ours, &theirs);
    for test in [
        "mkdir::uid_gid_eq_euid_egid",
        "mkfifo::uid_gid_eq_euid_egid",
    ] {
        let worse = comparison.worse.iter().any(|(name, _)| name == test);
        ensure!(worse, "{test} was not found: {comparison}");
    }
    lab.end().await
}

/// A share without a window.
fn plain() -> Result<Plan> {
    Ok(Plan::new(PLAIN)?.set(|share| Share {
        window: None,
        ..share
    }))
}

/// A share served by virtiofsd.
fn peer(host: &Host) -> Result<Plan> {
    let peer = virtiofsd::obtain(&host.parts.cache).context("no virtiofsd to compare with")?;
    Ok(Plan::new(PEER)?.set(|share| share.with_peer(&peer.path)))
}

/// The suite's outcomes. Fails if there are too few of them.
async fn whole(lab: &Lab<'_>, share: &Shared) -> Result<Outcomes> {
    let begin = Instant::now();
    let outcomes = pjdfstest::whole(lab, share).await?;
    let (tag, seconds) = (&share.tag, begin.elapsed().as_secs());
    println!("      {tag}: {outcomes} in {seconds} s");
    let ran = outcomes.ran();
    ensure!(ran >= MIN_RAN, "only {ran} tests ran on {tag}: {outcomes}");
    Ok(outcomes)
}
