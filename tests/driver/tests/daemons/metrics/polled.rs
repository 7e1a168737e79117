// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon that watches its queues (`--poll`).

use std::time::Instant;

use anyhow::Result;
use virtiofs_driver::{NodeId, Options, daemon};

use crate::http::{Samples, address};
use crate::rig::{PATIENCE, Rig};

/// A daemon with this limit, and how many requests it has seen while it watched.
fn hits(poll: &str, enough: impl Fn(f64) -> bool) -> Result<Option<f64>> {
    let daemon = daemon::daxd()?;
    let arguments = [poll, "--metrics=127.0.0.1:0"];
    let mut rig = Rig::start_with(daemon, &Options::default(), &arguments)?;
    let address = address(&rig.daemon)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        for _ in 0..2000 {
            rig.client.getattr(NodeId::ROOT, None)?;
        }
        let hits = Samples::take(&address)?.of("poll_hits_total");
        if hits.is_some_and(&enough) || Instant::now() > deadline {
            return Ok(hits);
        }
    }
}

#[test]
fn a_guest_that_waits_for_each_reply_is_watched_for() -> Result<()> {
    let hits = hits("--poll=1000", |hits| hits > 100.0)?;
    assert!(hits.is_some_and(|hits| hits > 100.0), "{hits:?}");
    Ok(())
}

#[test]
fn without_the_option_no_queue_is_watched() -> Result<()> {
    assert_eq!(hits("--poll=0", |_| true)?, Some(0.0));
    Ok(())
}
