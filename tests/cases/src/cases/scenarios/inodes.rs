// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Operations on two files of xfs, which locks the one with the lower inode number first; and a
//! size that grows.

use std::time::Duration;

use anyhow::{Result, ensure};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Create, Where};
use guest_agent::removals::Removal;

use super::props::resizing;
use super::{Scenario, run};
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{FileSystem, Pending, Rig, Waiting, Who, sleeping};

/// The function that has a loop of its own for the second inode.
const TWO_INODES: &str = "fs/xfs/xfs_inode.c: xfs_mmaplock_two_inodes_and_break_dax_layout() waits \
                          for the first inode's pages, and tries again and again for the second's";

/// A removal from the first or from the second inode.
macro_rules! of_two {
    ($name:literal, $kind:ident, $first:literal, $about:literal) => {
        Scenario {
            name: $name,
            finding: |kernel| match kernel {
                _ if !$first => Some("H"),
                KernelKind::NoBioWake => Some("A"),
                _ => None,
            },
            about: $about,
            source: TWO_INODES,
            fs: &[FileSystem::Xfs],
            contract: Contract::MustWait,
            signs: Signs::DROPPED_PAGE,
            expected: |kernel, fs| match kernel {
                // The second inode's pages are looked at, and nobody sleeps until they are free.
                KernelKind::NoWait => expected(kernel, fs, Pin::AioRead, RemovalKind::$kind),
                _ if !$first => vec![Outcome::Hung],
                _ => expected(kernel, fs, Pin::AioRead, RemovalKind::$kind),
            },
            run: |rig, fs, seen| Box::pin(of_two(rig, fs, seen, RemovalKind::$kind, $first)),
        }
    };
}

pub(super) const SCENARIOS: &[Scenario] = &[
    of_two!(
        "clone-first-inode",
        Clone,
        true,
        "a range is cloned over a pinned page, whose file has the lower inode number"
    ),
    of_two!(
        "clone-second-inode",
        Clone,
        false,
        "a range is cloned over a pinned page, whose file has the higher inode number: it must not \
         return before the release, and it should sleep until then"
    ),
    of_two!(
        "exchange-first-inode",
        Exchange,
        true,
        "a range with a pinned page is exchanged with another file's, and the page's file has the \
         lower inode number"
    ),
    of_two!(
        "exchange-second-inode",
        Exchange,
        false,
        "a range with a pinned page is exchanged with another file's, and the page's file has the \
         higher inode number: it must not return before the release, and it should sleep until then"
    ),
    of_two!(
        "clone-from-second-inode",
        CloneFrom,
        false,
        "a range with a pinned page is cloned over another file's, and the page's file has the \
         higher inode number: it must not return before the release, and it should sleep until then"
    ),
    Scenario {
        name: "growing-truncate",
        finding: |kernel| (kernel == KernelKind::NoBioWake).then_some("A"),
        about: "a file with a pinned page is made longer: no block goes, and Linux waits all the \
                same",
        source: "ext4_setattr(), xfs_vn_setattr_size() and fuse_do_setattr() break layouts at any \
                 change of the size",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| match kernel {
            // From 6.15 on, the break of layouts also drops the pages, and warns of one in use.
            KernelKind::NoWait => vec![Outcome::Proceeded, Outcome::Complained],
            _ => expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        },
        run: run!(growing),
    },
];

/// Between two looks at a removal that neither returns nor sleeps.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often it has to be seen running.
const LOOKS: u32 = 5;

async fn of_two(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    kind: RemovalKind,
    first: bool,
) -> Result<()> {
    if kind == RemovalKind::Exchange {
        rig.needs_exchange()?;
    }
    let mut fixture = Fixture::set_up_in_order(rig, fs, kind, first).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    if first {
        return matrix::remove_and_verify(rig, fixture, held, kind, seen).await;
    }
    let pending = fixture.remover.begin(fixture.removal()).await?;
    let waiting = runs_on(rig, &mut fixture, &pending).await?;
    let spins = matches!(waiting, Waiting::Elsewhere(None));
    matrix::go_on_from(rig, &mut fixture, held, &pending, waiting, seen).await?;
    // It has returned after the release, so the guest can be used again.
    seen.woken |= spins && !seen.evidence.wake_us.is_empty();
    matrix::close(rig, fixture, seen).await
}

/// Looks at a removal until it has returned, sleeps somewhere, or was seen running some times.
async fn runs_on(
    rig: &mut Rig,
    fixture: &mut Fixture,
    pending: &Pending<Removal>,
) -> Result<Waiting<()>> {
    for _ in 0..LOOKS {
        if let Some(done) = fixture.remover.done_within(pending, LOOK_AGAIN).await? {
            return Ok(Waiting::Over(done));
        }
        let remover = Who::Process(fixture.remover.pid());
        if sleeping(rig.watcher(), remover, &[]).await?.is_some() {
            return fixture.kind.watch(rig, fixture, pending).await;
        }
    }
    Ok(Waiting::Elsewhere(None))
}

impl Fixture {
    /// Sets up a case whose file has the lower inode number of two (`first`), or the higher one.
    async fn set_up_in_order(
        rig: &mut Rig,
        fs: FileSystem,
        kind: RemovalKind,
        first: bool,
    ) -> Result<Self> {
        let [file, other] = Self::next_paths(rig, fs, kind);
        let mut numbers = Vec::new();
        for path in [&file, &other] {
            let (path, len, seed) = (path.clone(), 0, 0);
            let create = Create {
                path: path.clone(),
                len,
                seed,
            };
            rig.watcher().ask(create).await?;
            numbers.push(rig.watcher().ask(Where { path }).await?.inode);
        }
        if (numbers[0] < numbers[1]) != first {
            let spare = format!("{file}-spare");
            for (from, path) in [(&file, &spare), (&other, &file), (&spare, &other)] {
                let (from, path) = (from.clone(), path.clone());
                rig.watcher()
                    .ask(Removal::RenameOver { path, from })
                    .await?;
            }
        }
        let fixture = Self::set_up(rig, fs, kind).await?;
        ensure!(fixture.files.file == file, "the case has other files");
        let mut number = async |path: String| rig.watcher().ask(Where { path }).await;
        let (file, other) = (number(file).await?.inode, number(other).await?.inode);
        ensure!(
            (file < other) == first,
            "the pinned file has inode {file}, and the other one {other}"
        );
        Ok(fixture)
    }
}

async fn growing(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    // What the file holds afterwards is what it held before, as far as that goes.
    let kind = RemovalKind::Fallocate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    let longer = resizing(&fixture.files.file, 2 * fixture.files.len);
    matrix::remove_by_and_verify(rig, fixture, held, kind, longer, seen).await
}
