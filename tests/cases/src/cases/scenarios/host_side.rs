// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Removals on the host, which the guest's kernel does not see. The page is pinned in the guest,
//! and its memory is the host's page of the file.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::KernelLog;
use guest_agent::removals::Removal;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::{Scenario, race};
use crate::cases::files::RANGE;
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, matrix};
use crate::host::{FileSystem, Rig};

/// What happens on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnHost {
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

/// Makes one scenario for each pin.
macro_rules! scenarios {
    ($($name:literal, $finding:expr, $what:ident, $contract:ident, $aio:expr, $vmsplice:expr, $about:literal, $source:literal;)+) => {
        pub(super) const SCENARIOS: &[Scenario] = &[$(
            Scenario {
                name: concat!($name, "-aio-read"),
                finding: |_| $finding,
                about: concat!("under an asynchronous O_DIRECT read into the page: ", $about),
                source: $source,
                fs: &[FileSystem::Fuse],
                contract: Contract::$contract,
                expected: $aio,
                run: |rig, fs, seen| Box::pin(under(rig, fs, seen, Pin::AioRead, OnHost::$what)),
            },
            Scenario {
                name: concat!($name, "-vmsplice"),
                finding: |_| $finding,
                about: concat!("with the page in a pipe: ", $about),
                source: $source,
                fs: &[FileSystem::Fuse],
                contract: Contract::$contract,
                expected: $vmsplice,
                run: |rig, fs, seen| Box::pin(under(rig, fs, seen, Pin::Vmsplice, OnHost::$what)),
            },
        )+];
    };
}

scenarios![
    "host-truncate", None, Truncate, KnownLimit, proceeds, dies,
    "the host cuts the file to nothing", "mmap(2) on the host: SIGBUS beyond the end of the file";
    "server-shrinks", Some("15"), TruncateAndStat, MustWait, complains, dies,
    "the host cuts the file to nothing, and the guest hears of it by stat(2)",
    "fs/fuse/inode.c: fuse_change_attributes_i() calls truncate_pagecache() and breaks no layout";
    "host-punch", None, Punch, MayProceed, proceeds, proceeds,
    "the host punches a hole where the page is", "the mapping is shared, and a hole has pages of its own";
    "host-unlink", None, Unlink, MayProceed, proceeds, proceeds,
    "the host unlinks the file", "QEMU's mapping and the daemon's descriptor keep the file";
    "host-rename-over", None, RenameOver, MayProceed, proceeds, proceeds,
    "the host renames another file over it", "QEMU's mapping and the daemon's descriptor keep the file";
    "daemon-killed", None, KillDaemon, MayProceed, proceeds, proceeds,
    "the daemon is killed", "QEMU's mapping of the window is its own";
];

fn proceeds(_: KernelKind, _: FileSystem) -> Vec<Outcome> {
    vec![Outcome::Proceeded]
}

fn dies(_: KernelKind, _: FileSystem) -> Vec<Outcome> {
    vec![Outcome::VmDied]
}

fn complains(_: KernelKind, _: FileSystem) -> Vec<Outcome> {
    vec![Outcome::Complained]
}

/// How long the guest may trust its cached size.
const SIZE_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks: Linux does not announce that it asks for the size again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn under(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    pin: Pin,
    what: OnHost,
) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, pin, seen).await?;
    on_host(rig, &fixture, what).await?;
    seen.step(format_args!(
        "{what:?} is done, and the page is still pinned"
    ));
    seen.returned = Some(Ok(()));
    let released = held.release(&mut fixture.pinner, &fixture.page, rig).await;
    rig.release_all();
    let ended = released?;
    seen.step("the pin has been released and has ended");
    if let Some(failed) = ended.failed {
        seen.step(format_args!("its transfer failed: {failed}"));
        rig.spoil();
    }
    if let Some(leaked) = ended.leaked {
        seen.step(format_args!("who read the pinned page got {leaked}"));
        // The host has asked for a page that is gone. Other bytes are an error.
        let gone = matches!(
            what,
            OnHost::Punch | OnHost::Truncate | OnHost::TruncateAndStat
        );
        if !gone || !leaked.contains("found 0x00") {
            seen.harm = Some(leaked);
        }
    }
    if what == OnHost::KillDaemon {
        // The share is of no use any more.
        rig.spoil();
        let log = rig.watcher().ask(KernelLog {}).await?;
        seen.complaints = crate::cases::complaints(&log);
        seen.evidence.guest_log = log;
        return Ok(());
    }
    race::close(rig, fixture, seen).await
}

async fn on_host(rig: &mut Rig, fixture: &Fixture, what: OnHost) -> Result<()> {
    let name = fixture.files.file.rsplit('/').next();
    let name = name.context("a file has a name")?;
    let path = rig.on_host(name);
    let failed = || format!("{what:?} of {}", path.display());
    let writable = || File::options().write(true).open(&path).with_context(failed);
    match what {
        OnHost::Truncate => writable()?.set_len(0).with_context(failed)?,
        OnHost::TruncateAndStat => {
            writable()?.set_len(0).with_context(failed)?;
            heard_of(rig, &fixture.files.file).await?;
        }
        OnHost::Punch => {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let range = fixture.page.offset - fixture.page.offset % RANGE;
            fallocate(writable()?, flags, range, RANGE).with_context(failed)?;
        }
        OnHost::Unlink => fs::remove_file(&path).with_context(failed)?,
        OnHost::RenameOver => {
            let other = rig.on_host(&format!("{name}-host"));
            fs::write(&other, "something else").with_context(failed)?;
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
            "waited {SIZE_DEADLINE:?} in vain for the guest to see that {path} is empty"
        );
        sleep(LOOK_AGAIN).await;
    }
}
