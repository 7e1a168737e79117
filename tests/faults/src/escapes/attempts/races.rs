// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Names that change while they are looked up.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use virtiofs_driver::NodeId;

use crate::escapes::fixture::SHARED;
use crate::escapes::site::Site;

/// How many lookups of each kind are made.
const ROUNDS: u32 = 1000;

/// The host renames a directory within the share while the guest looks up its parent.
pub fn renamed_parent(site: &mut Site) -> Result<()> {
    let share = site.fixture.share();
    let deep = site.client.node("dir/inner/deep")?;
    let (here, there) = (share.join("dir/inner"), share.join("inner"));
    let change = || {
        fs::rename(&here, &there)?;
        fs::rename(&there, &here)
    };
    let guest = |site: &mut Site| {
        let mut wrong = None;
        let mut node = deep;
        for _ in 0..4 {
            let Ok(entry) = site.client.lookup(node, "..") else {
                break;
            };
            wrong = wrong.or(site.trespass(&entry)?);
            node = NodeId(entry.nodeid);
        }
        Ok(wrong)
    };
    race(site, "`..` of a directory that is moved", change, guest)
}

/// The host exchanges a directory with a link to outside.
pub fn turning_link(site: &mut Site) -> Result<()> {
    let share = site.fixture.share();
    let (folder, link) = (share.join("turning"), share.join("turned"));
    fs::create_dir(&folder)?;
    fs::write(folder.join("file"), SHARED)?;
    std::os::unix::fs::symlink("../outside", &link)?;
    let change = || exchange(&folder, &link);
    let guest = |site: &mut Site| {
        let Ok(entry) = site.client.lookup(NodeId::ROOT, "turning") else {
            return Ok(None);
        };
        if let Some(wrong) = site.trespass(&entry)? {
            return Ok(Some(wrong));
        }
        let Ok(entry) = site.client.lookup(NodeId(entry.nodeid), "file") else {
            return Ok(None);
        };
        site.trespass(&entry)
    };
    race(
        site,
        "a file in a directory that turns into a link",
        change,
        guest,
    )?;
    fs::remove_file(if link.is_symlink() { &link } else { &folder })?;
    Ok(())
}

fn exchange(one: &Path, other: &Path) -> std::io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Runs the host's changes while the guest makes requests.
fn race(
    site: &mut Site,
    what: &str,
    change: impl Fn() -> std::io::Result<()> + Sync,
    mut guest: impl FnMut(&mut Site) -> Result<Option<String>>,
) -> Result<()> {
    let (stop, changes) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut wrong = None;
    let (asked, changed) = thread::scope(|scope| {
        let host = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                change()?;
                changes.fetch_add(1, Ordering::Relaxed);
            }
            std::io::Result::Ok(())
        });
        let mut asked = Ok(());
        // A round without a change would be no race.
        let mut rounds = 0;
        while asked.is_ok() && wrong.is_none() && !host.is_finished() {
            if rounds >= ROUNDS && changes.load(Ordering::Relaxed) >= u64::from(ROUNDS) {
                break;
            }
            match guest(site) {
                Ok(found) => wrong = found,
                Err(error) => asked = Err(error),
            }
            rounds += 1;
        }
        stop.store(true, Ordering::Relaxed);
        (asked, host.join().expect("the thread does not panic"))
    });
    asked?;
    changed.context("changing names on the host")?;
    let changes = changes.into_inner();
    ensure!(changes > 0, "nothing was changed");
    let answer = if wrong.is_some() { "escaped" } else { "inside" };
    site.summary(what, answer.to_owned(), wrong);
    Ok(())
}
