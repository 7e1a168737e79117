// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest can have the daemon print, to its log or past it.

use anyhow::Result;
use virtiofs_driver::fuse::FsOptions;
use virtiofs_driver::{InitOptions, NodeId, Options};

use crate::rig::Rig;

/// Far more than there are kinds of lines.
const TIMES: usize = 500;
/// A line of each kind that is met here, and the numbers of those that were left out.
const LINES: usize = 20;

/// A driver that offers nothing makes virtiofsd complain of each thing that it lacks, one of them past
/// the log.
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
