// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which pages of a file are pinned: the edges of a range, several pages by one transfer, several
//! pages by a pin each, and a page behind others.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::Touch;
use guest_agent::removals::Removal;

use super::props::{PAGE, reading};
use super::{Scenario, run};
use crate::cases::files::{MAPPED, PINNED_PAGE, Place, RANGE};
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{FileSystem, Rig, Waiting};

const ONE: u64 = PAGE as u64;
/// The end of the hole that the removals make, in its range.
const HOLE: u64 = RANGE / 2;

/// A removal under the usual transfer into other pages than the matrix has.
macro_rules! elsewhere {
    ($name:literal, $kind:ident, $pin:ident, $fs:expr, $place:expr, $about:literal, $source:literal) => {
        Scenario {
            name: $name,
            finding: by_transfer,
            about: $about,
            source: $source,
            fs: $fs,
            contract: Contract::MustWait,
            signs: Signs::DROPPED_PAGE,
            expected: |kernel, fs| slips_at(kernel, fs, Pin::$pin, RemovalKind::$kind),
            run: |rig, fs, seen| {
                let cell = (Pin::$pin, RemovalKind::$kind, $place);
                Box::pin(elsewhere(rig, fs, seen, cell))
            },
        }
    };
}

pub(super) const SCENARIOS: &[Scenario] = &[
    elsewhere!(
        "first-page-of-file",
        Truncate,
        AioRead,
        &FileSystem::ALL,
        Place::page(0),
        "the file's first page is pinned, and the file is truncated",
        "fs/dax.c: dax_layout_busy_page_range() begins with the range's first page"
    ),
    elsewhere!(
        "first-page-of-hole",
        Punch,
        AioRead,
        &FileSystem::ALL,
        Place::page(RANGE),
        "the first page of a hole that is punched is pinned",
        "fs/dax.c: dax_layout_busy_page_range() begins with the range's first page"
    ),
    elsewhere!(
        "last-page-of-hole",
        Punch,
        AioRead,
        &FileSystem::ALL,
        Place::page(RANGE + HOLE - ONE),
        "the last page of a hole that is punched is pinned",
        "fs/dax.c: dax_layout_busy_page_range() ends with the range's last page"
    ),
    elsewhere!(
        "first-page-of-range",
        ReclaimInline,
        Vmsplice,
        &[FileSystem::Fuse],
        Place::page(0),
        "page 0 of a range of the window is pinned, and the range is taken for another one of the \
         file",
        "fs/fuse/dax.c: fuse_dax_break_layouts() looks from the range's first page on"
    ),
    elsewhere!(
        "last-page-of-range",
        ReclaimInline,
        Vmsplice,
        &[FileSystem::Fuse],
        Place::page(RANGE - ONE),
        "page 511 of a range of the window is pinned, and the range is taken for another one of \
         the file",
        "fs/fuse/dax.c: fuse_dax_break_layouts() looks up to the range's last page"
    ),
    elsewhere!(
        "pin-across-ranges",
        Truncate,
        AioRead,
        &FileSystem::ALL,
        Place {
            offset: RANGE - ONE,
            len: 2 * PAGE
        },
        "one transfer reads into the last page of a range and the first one of the next; the file \
         is truncated",
        "fs/dax.c: dax_layout_busy_page_range() looks at all entries of the file"
    ),
    elsewhere!(
        "pages-of-one-transfer",
        Punch,
        AioRead,
        &FileSystem::ALL,
        Place {
            offset: RANGE,
            len: MAPPED
        },
        "one transfer reads into sixteen pages, and a hole is punched where they are",
        "block/bio.c: all pages of a bio are released at its end"
    ),
    elsewhere!(
        "part-of-a-transfer",
        TruncateMiddle,
        AioRead,
        &FileSystem::ALL,
        Place {
            offset: RANGE,
            len: MAPPED
        },
        "one transfer reads into sixteen pages, and the file is truncated behind the first one",
        "fs/dax.c: dax_layout_busy_page_range() rounds the new length down to a page"
    ),
    Scenario {
        name: "page-behind-others",
        finding: by_transfer,
        about: "the file has entries of fifteen pages that nobody pins, and of a pinned one behind \
                them; it is truncated",
        source: "fs/dax.c: dax_layout_busy_page_range() goes on after an entry that is not busy",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        run: run!(page_behind_others),
    },
    Scenario {
        name: "two-pinned-pages",
        finding: by_transfer,
        about: "a page in a pipe and a page of a transfer; the file is truncated, and the pipe is \
                drained first: the truncate waits for the other page, too",
        source: "who waits looks for a further busy page after each wait",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        run: |rig, fs, seen| Box::pin(one_by_one(rig, fs, seen, &[RANGE])),
    },
    Scenario {
        name: "many-pinned-pages",
        finding: by_transfer,
        about: "five pages of two ranges, each in a pipe, and a page of a transfer behind them; the \
                file is truncated, and the pipes are drained one after the other",
        source: "who waits looks for a further busy page after each wait",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        run: |rig, fs, seen| {
            const PAGES: [u64; 5] = [0, ONE, RANGE - ONE, RANGE, RANGE + ONE];
            Box::pin(one_by_one(rig, fs, seen, &PAGES))
        },
    },
    Scenario {
        name: "pin-in-another-range",
        finding: |_| None,
        about: "a page of the file's second range is pinned, and the window is full: read(2) takes \
                the first range, and waits for nothing",
        source: "fs/fuse/dax.c: inode_inline_reclaim_one_dmap() breaks the layout of the range that \
                 it takes",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, _| match kernel {
            // The worker does not wait either, and takes the pinned page's range.
            KernelKind::NoWait => vec![Outcome::Harmed, Outcome::Proceeded],
            _ => vec![Outcome::Proceeded],
        },
        run: run!(pin_in_another_range),
    },
];

/// The outcomes of the matrix. On xfs a freed block at the edge of an extent may get no other owner:
/// then only the kernel's complaint tells of a kernel that does not wait.
fn slips_at(kernel: KernelKind, fs: FileSystem, pin: Pin, kind: RemovalKind) -> Vec<Outcome> {
    let mut outcomes = expected(kernel, fs, pin, kind);
    if (kernel, fs) == (KernelKind::NoWait, FileSystem::Xfs) {
        outcomes.push(Outcome::Complained);
    }
    outcomes
}

/// The transfers are those of a disk.
fn by_transfer(kernel: KernelKind) -> Option<&'static str> {
    (kernel == KernelKind::NoBioWake).then_some("A")
}

async fn elsewhere(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    (pin, kind, place): (Pin, RemovalKind, Place),
) -> Result<()> {
    let mut fixture = Fixture::set_up_at(rig, fs, kind, place).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, pin, seen).await?;
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}

async fn page_behind_others(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let last = Place::page(RANGE + MAPPED as u64 - ONE);
    let mut fixture = Fixture::set_up_at(rig, fs, kind, last).await?;
    seen.stands(&fixture);
    let others = Touch {
        map: fixture.page.map.clone(),
        at: 0,
        len: fixture.page.at,
        store: true,
    };
    fixture.pinner.ask(others).await?;
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}

/// Pages at `offsets` are put into pipes. They are below the fixture's own page, so that a scan
/// finds them first.
async fn one_by_one(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    offsets: &[u64],
) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let mut further = Vec::new();
    for (&offset, number) in offsets.iter().zip(1..) {
        let page = fixture.further_page(number, offset).await?;
        let pinner = &mut fixture.pinner;
        let held = Pin::Vmsplice.take(pinner, fs, &page, rig).await?;
        seen.step(format_args!("pinned at {offset:#x}: {}", held.proof));
        further.push((page, held));
    }
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    // Each end of a pin wakes the removal, which then finds another page.
    seen.is_woken_by_case = true;
    let pending = fixture.remover.begin(fixture.removal()).await?;
    let mut waiting = kind.watch(rig, &mut fixture, &pending).await?;
    let mut leaked = None;
    if let Waiting::Blocked(task) = &waiting {
        seen.blocked = Some(task.clone());
        for (page, held) in further {
            let ended = held.release(&mut fixture.pinner, &page, rig).await?;
            leaked = leaked.or(ended.leaked);
            seen.step(format_args!("the pipe with {:#x} is drained", page.offset));
            waiting = kind.watch(rig, &mut fixture, &pending).await?;
            if !matches!(waiting, Waiting::Blocked(_)) {
                break;
            }
        }
    }
    matrix::go_on_from(rig, &mut fixture, held, &pending, waiting, seen).await?;
    seen.harm = seen.harm.take().or(leaked);
    rig.release_all();
    matrix::close(rig, fixture, seen).await
}

async fn pin_in_another_range(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::ReclaimInline;
    let second = Place::page(RANGE + PINNED_PAGE);
    let mut fixture = Fixture::set_up_at(rig, fs, kind, second).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::Vmsplice, seen).await?;
    let first: Removal = reading(&fixture.files.file, 0);
    fixture.remover.ask(first).await?;
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}
