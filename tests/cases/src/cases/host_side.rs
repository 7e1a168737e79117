// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Removals on the host, which the guest's kernel does not see. The page is pinned in the guest,
//! and its memory is the host's page of the file.
//!
//! Each removal is made under each pin. When the pin has ended, the file is compared byte by byte on
//! both sides: by a descriptor that the host had opened before, and by the guest's mapping.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{KernelLog, Load, difference};
use guest_agent::removals::Removal;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::files::{FILE_SEED, MAPPED, PAGE, PINNED_PAGE, RANGE};
use super::fixture::Fixture;
use super::held::Ended;
use super::scenarios::race;
use super::{KernelKind, Observation, Pin, RemovalKind, Vmm, complaints, matrix};
use crate::host::{DISK_SEED, FileSystem, Rig};

/// What happens on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHost {
    /// The file is cut to nothing.
    Truncate,
    /// The file is cut to nothing, and the guest learns of it by stat(2).
    TruncateAndStat,
    /// A hole where the page is.
    Punch,
    /// The file is unlinked.
    Unlink,
    /// Another file is renamed over the file.
    RenameOver,
    /// The daemon is killed.
    KillDaemon,
}

/// The content of a replacement.
const REPLACEMENT: &str = "something else";

impl OnHost {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Truncate,
        Self::TruncateAndStat,
        Self::Punch,
        Self::Unlink,
        Self::RenameOver,
        Self::KillDaemon,
    ];

    /// Its name in a case's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncate => "host-truncate",
            Self::TruncateAndStat => "server-shrinks",
            Self::Punch => "host-punch",
            Self::Unlink => "host-unlink",
            Self::RenameOver => "host-rename-over",
            Self::KillDaemon => "daemon-killed",
        }
    }

    /// A sentence about what happens.
    pub fn about(self) -> &'static str {
        match self {
            Self::Truncate => "the host cuts the file to nothing",
            Self::TruncateAndStat => {
                "the host cuts the file to nothing, and the guest sees it by stat(2)"
            }
            Self::Punch => "the host punches a hole where the page is",
            Self::Unlink => "the host unlinks the file",
            Self::RenameOver => "the host renames another file over it",
            Self::KillDaemon => "the daemon is killed",
        }
    }

    /// Where its expectation comes from.
    pub fn source(self) -> &'static str {
        match self {
            Self::Truncate => "mmap(2) on the host: SIGBUS beyond the end of the file",
            Self::TruncateAndStat => {
                "fs/fuse/inode.c: fuse_change_attributes_i() calls truncate_pagecache() and breaks \
                 no layout"
            }
            Self::Punch => "the mapping is shared, and a hole has pages of its own",
            Self::Unlink | Self::RenameOver => {
                "QEMU's mapping and the daemon's descriptor keep the file"
            }
            Self::KillDaemon => "QEMU's mapping of the window is its own",
        }
    }

    /// What the guest's kernel owes.
    pub fn contract(self) -> Contract {
        match self {
            Self::Truncate => Contract::KnownLimit,
            Self::TruncateAndStat => Contract::MustWait,
            _ => Contract::MayProceed,
        }
    }

    /// Whether the file loses the page.
    fn shortens(self) -> bool {
        matches!(self, Self::Truncate | Self::TruncateAndStat)
    }

    /// Whether it can happen under a pin of this kind. Without its daemon a share answers nothing,
    /// so a transfer of a file of the share would never end.
    pub fn goes_with(self, pin: Pin) -> bool {
        self != Self::KillDaemon || !matches!(pin, Pin::FuseDioRead | Pin::FuseDioWrite)
    }

    /// The accepted outcomes.
    pub fn expected(self, kernel: KernelKind, pin: Pin, vmm: Vmm) -> Vec<Outcome> {
        // A program of the guest touches the lost page at the pin's end.
        let touched = self.shortens() && pin.is_read_at_its_end();
        match self {
            _ if touched && vmm == Vmm::Unguarded => vec![Outcome::VmDied],
            // Linux warns of a page in use that leaves the page cache. The seed counts only
            // FOLL_PIN as a use.
            Self::TruncateAndStat if kernel == KernelKind::Seed && touched => {
                vec![Outcome::Proceeded]
            }
            Self::TruncateAndStat => vec![Outcome::Complained],
            // The removal of the case's files may tell the guest of the new length. From 6.15 on Linux
            // warns of any page that is in the cache then, pinned or not (`docs/findings.md`, 15).
            Self::Truncate if kernel.may_be_newer() => {
                vec![Outcome::Proceeded, Outcome::Complained]
            }
            _ => vec![Outcome::Proceeded],
        }
    }
}

/// How long the guest may trust its cached size.
const SIZE_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks: Linux does not announce that it asks for the size again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Runs the case. Observations from before a failure are kept.
///
/// # Errors
///
/// If the lab fails, or the guest dies.
pub async fn run(rig: &mut Rig, pin: Pin, what: OnHost, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, FileSystem::Fuse, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let path = fixture.on_host(rig)?;
    let opened = File::options().read(true).write(true).open(&path);
    let file = opened.with_context(|| format!("opening {}", path.display()))?;
    let held = matrix::take(rig, &mut fixture, pin, seen).await?;
    remove(rig, &fixture, &file, what).await?;
    seen.step(format_args!(
        "{what:?} is done, and the page is still pinned"
    ));
    seen.returned = Some(Ok(()));
    let released = held.release(&mut fixture.pinner, &fixture.page, rig).await;
    rig.release_all();
    let ended = released?;
    seen.step("the pin has been released and has ended");
    if ended.failed.is_some() {
        // The disk is of no use any more.
        rig.spoil();
    }
    seen.harm = find_harm(&mut fixture, &file, &path, pin, what, ended, seen).await?;
    if what == OnHost::KillDaemon {
        // The share is of no use any more.
        rig.spoil();
        let log = rig.watcher().ask(KernelLog {}).await?;
        seen.complaints = complaints(&log);
        seen.evidence.guest_log = log;
        return Ok(());
    }
    race::close(rig, fixture, seen).await
}

async fn remove(rig: &mut Rig, fixture: &Fixture, file: &File, what: OnHost) -> Result<()> {
    let path = fixture.on_host(rig)?;
    let failed = || format!("{what:?} of {}", path.display());
    match what {
        OnHost::Truncate => file.set_len(0).with_context(failed)?,
        OnHost::TruncateAndStat => {
            file.set_len(0).with_context(failed)?;
            heard_of(rig, &fixture.files.file).await?;
        }
        OnHost::Punch => {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(file, flags, RANGE, RANGE).with_context(failed)?;
        }
        OnHost::Unlink => fs::remove_file(&path).with_context(failed)?,
        OnHost::RenameOver => {
            let other = path.with_extension("host");
            fs::write(&other, REPLACEMENT).with_context(failed)?;
            fs::rename(&other, &path).with_context(failed)?;
        }
        OnHost::KillDaemon => {
            let daemon = rig.vm().daemons().first().context("there is a daemon")?;
            let pid = Pid::from_raw(daemon.pid().cast_signed()).context("it has a process id")?;
            kill_process(pid, Signal::KILL).context("killing the daemon")?;
            daemon
                .gone()
                .await
                .context("waiting for the daemon's end")?;
        }
    }
    Ok(())
}

/// Looks at the file until the guest knows its new length.
async fn heard_of(rig: &mut Rig, path: &str) -> Result<()> {
    let deadline = Instant::now() + SIZE_DEADLINE;
    loop {
        let path = path.to_owned();
        rig.watcher()
            .ask(Removal::Stat { path: path.clone() })
            .await?;
        if rig.vm().agent().stat(&path).await?.size == 0 {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "timed out after {SIZE_DEADLINE:?} waiting for the guest to see that {path} is empty"
        );
        sleep(LOOK_AGAIN).await;
    }
}

/// A part of the file, and the pattern that it must hold: seed and offset; `None` is zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    offset: u64,
    len: u64,
    pattern: Option<(u64, u64)>,
}

/// What the file must hold when the pin has ended. `written` is the offset on the disk of what has
/// been written to the page.
fn content(what: OnHost, len: u64, page: u64, written: Option<u64>) -> Vec<Part> {
    let part = |from: u64, to: u64, pattern| Part {
        offset: from,
        len: to - from,
        pattern,
    };
    let own = |from, to| part(from, to, Some((FILE_SEED, from)));
    let hole = |from, to| match what {
        OnHost::Punch => part(from, to, None),
        _ => own(from, to),
    };
    let the_page = match written {
        Some(at) => part(page, page + PAGE, Some((DISK_SEED, at))),
        None => hole(page, page + PAGE),
    };
    match what {
        OnHost::Truncate | OnHost::TruncateAndStat => vec![],
        _ => vec![
            own(0, RANGE),
            hole(RANGE, page),
            the_page,
            hole(page + PAGE, len),
        ],
    }
}

/// Compares what the pin's owner got, and what the file holds on both sides, with what they must be.
async fn find_harm(
    fixture: &mut Fixture,
    file: &File,
    path: &Path,
    pin: Pin,
    what: OnHost,
    ended: Ended,
    seen: &mut Observation,
) -> Result<Option<String>> {
    if let Some(failed) = &ended.failed {
        seen.step(format_args!("its transfer failed: {failed}"));
        if !what.shortens() {
            return Ok(Some(format!(
                "the page is there, and its transfer failed: {failed}"
            )));
        }
    }
    if let Some(leaked) = ended.leaked {
        seen.step(format_args!("who read the pinned page got {leaked}"));
        // The host has asked for a page that is gone. Other bytes are an error.
        let gone = what.shortens() || what == OnHost::Punch;
        if !gone || !leaked.contains("found 0x00") {
            return Ok(Some(leaked));
        }
    }
    let len = match what.shortens() {
        true => 0,
        false => fixture.files.len,
    };
    let is = file.metadata().context("looking at the file")?.len();
    if is != len {
        return Ok(Some(format!(
            "on the host the file has {is} bytes, not {len}"
        )));
    }
    let written = (pin.writes_page() && ended.failed.is_none()).then_some(fixture.page.disk_at);
    for part in content(what, len, fixture.page.offset, written) {
        if let Some(wrong) = wrong_on_host(file, part)? {
            return Ok(Some(format!("on the host: {wrong}")));
        }
        if let Some(load) = loading(fixture, part)
            && let Some(wrong) = fixture.pinner.ask(load).await?
        {
            return Ok(Some(format!("in the guest: {wrong}")));
        }
    }
    if what == OnHost::RenameOver {
        let holds = fs::read(path).context("reading the replacement")?;
        if holds != REPLACEMENT.as_bytes() {
            return Ok(Some(
                "the file that was renamed over it has changed".to_owned(),
            ));
        }
    }
    seen.step("the file holds what it must, on both sides");
    Ok(None)
}

/// The first byte of a part that is not what it must be.
fn wrong_on_host(file: &File, part: Part) -> Result<Option<String>> {
    let mut bytes = vec![0; part.len as usize];
    file.read_exact_at(&mut bytes, part.offset)
        .context("reading the file")?;
    let (seed, at) = part.pattern.unzip();
    Ok(difference(seed, at.unwrap_or(part.offset), &bytes))
}

/// The op that compares the part of it which the pinner has mapped; `None` if there is none.
fn loading(fixture: &Fixture, part: Part) -> Option<Load> {
    let begin = fixture.page.offset - PINNED_PAGE;
    let from = part.offset.max(begin);
    let to = (part.offset + part.len).min(begin + MAPPED as u64);
    (from < to).then(|| Load {
        map: fixture.page.map.clone(),
        at: (from - begin) as usize,
        len: (to - from) as usize,
        pattern: part
            .pattern
            .map(|(seed, at)| (seed, at + (from - part.offset))),
    })
}

#[cfg(test)]
mod tests {
    use guest_agent::pattern::{self, Seed};

    use super::*;

    const LEN: u64 = 2 * RANGE;
    const AT: u64 = RANGE + PINNED_PAGE;

    /// A file with this content.
    fn file(parts: &[Part]) -> File {
        let file = tempfile::tempfile().unwrap();
        for part in parts {
            let mut bytes = vec![0; part.len as usize];
            if let Some((seed, at)) = part.pattern {
                pattern::fill(Seed(seed), at, &mut bytes);
            }
            file.write_all_at(&bytes, part.offset).unwrap();
        }
        file
    }

    #[test]
    fn the_parts_cover_the_whole_file() {
        for what in OnHost::ALL {
            for written in [None, Some(1 << 30)] {
                let mut end = 0;
                for part in content(what, LEN, AT, written) {
                    assert_eq!(part.offset, end);
                    end += part.len;
                }
                assert_eq!(end, if what.shortens() { 0 } else { LEN });
            }
        }
    }

    #[test]
    fn a_lost_write_and_a_foreign_byte_are_found_on_the_host() {
        let wrong = |file: &File, what, written| {
            let parts = content(what, LEN, AT, written).into_iter();
            let found = parts.map(|part| wrong_on_host(file, part).unwrap());
            found.flatten().next()
        };
        let disk = Some(1 << 30);
        let whole = file(&content(OnHost::Unlink, LEN, AT, disk));
        assert_eq!(wrong(&whole, OnHost::Unlink, disk), None);
        // The write to the page has been lost.
        assert!(wrong(&whole, OnHost::Unlink, None).is_some());
        // The hole is missing, and another hole is there.
        assert!(wrong(&whole, OnHost::Punch, disk).is_some());
        let holed = file(&content(OnHost::Punch, LEN, AT, None));
        assert_eq!(wrong(&holed, OnHost::Punch, None), None);
        assert!(wrong(&holed, OnHost::Unlink, None).is_some());
        holed.write_all_at(b"x", LEN - 1).unwrap();
        let said = wrong(&holed, OnHost::Punch, None).unwrap();
        assert!(said.contains("found 0x78"), "{said}");
    }
}
