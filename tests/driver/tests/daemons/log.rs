// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The messages that a guest can cause, in the daemon's log or outside of it.

use anyhow::Result;
use virtiofs_driver::fuse::FsOptions;
use virtiofs_driver::{InitOptions, NodeId, Options};

use crate::rig::Rig;

/// Far more than there are kinds of messages.
const TIMES: usize = 500;
/// The most lines: one for each kind of message here, and the counts of suppressed ones.
const LINES: usize = 20;

/// For a driver without features, virtiofsd prints a complaint about each missing feature. One of
/// them does not go to the log.
#[test]
fn a_guest_that_begins_anew_over_and_over_fills_no_log() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let nothing = InitOptions {
        flags: FsOptions::INIT_EXT,
        ..InitOptions::linux()
    };
    for _ in 0..TIMES {
        rig.client.init(&nothing)?;
    }
    rig.client.init(&InitOptions::linux())?;
    rig.client.getattr(NodeId::ROOT, None)?;
    let log = rig.daemon.log();
    assert!(log.lines().count() <= LINES, "{log}");
    Ok(())
}
