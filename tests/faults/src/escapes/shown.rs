// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Shows that the judgement of escapes can fail: on a daemon that shares more than the guest should
//! have, and for correct requests, which are served.

use std::fs;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::{FileOffset, Handle, NodeId};

use super::WINDOW;
use super::attempts::{foreign, never_given};
use super::fixture::SECRET;
use super::site::Site;
use crate::fault::Setting;

/// Finds the secret, reads its bytes, and makes a change outside.
pub fn a_way_out(setting: &Setting) -> Result<()> {
    let mut site = Site::too_wide(&setting.daemon, &WINDOW.map(str::to_owned))?;
    fs::write(site.fixture.share().join("copy"), SECRET)?;
    let found = site.client.lookup(NodeId::ROOT, "secret");
    let secret = site.inside("the secret", found)?;
    let share = site.client.node("share")?;
    let found = site.client.lookup(share, "copy");
    site.inside("its bytes under another name", found)?;
    let found = site.client.lookup(share, "file");
    site.inside("what is shared", found)?;
    let secret = secret.context("the secret is within reach")?;
    let done = site.client.truncate(secret, None, FileOffset(3));
    site.harmless("a change", done);
    let steps = site.finish();
    let wrong: Vec<bool> = steps.iter().map(|step| step.wrong.is_some()).collect();
    ensure!(
        wrong == [true, true, false, true, true],
        "noticed: {steps:?}"
    );
    Ok(())
}

/// A known node, and a handle of that node.
pub fn what_is_served(setting: &Setting) -> Result<()> {
    let mut site = Site::new(&setting.daemon, &WINDOW.map(str::to_owned))?;
    let node = site.client.node("file")?;
    let handle = Handle(site.client.open(node, libc::O_RDWR)?.fh);
    foreign(&mut site, "of its own", handle)?;
    never_given(&mut site, "that is known", node);
    site.still_holds("file", super::fixture::SHARED)?;
    let steps = site.finish();
    let wrong: Vec<&str> = steps
        .iter()
        .filter(|step| step.wrong.is_some())
        .map(|step| step.what.as_str())
        .collect();
    for what in [
        "READ of file by the handle of its own",
        "WRITE of file by the handle of its own",
        "SETATTR of file by the handle of its own",
        "GETATTR of node that is known",
        "OPEN of node that is known",
        "SETUPMAPPING of node that is known",
        "file afterwards",
    ] {
        ensure!(wrong.contains(&what), "{what} is not among {wrong:?}");
    }
    Ok(())
}
