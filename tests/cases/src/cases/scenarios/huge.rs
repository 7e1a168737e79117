// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A page that is pinned by way of a mapping of 2 MiB.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Align, FrameOf, MapHuge, Overwrite};

use super::Scenario;
use crate::cases::files::{PINNED_PAGE, Page};
use crate::cases::fixture::Fixture;
use crate::cases::{Allowed, KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{FileSystem, Lacking, Rig};

/// A removal under a pin of a page of such a mapping.
macro_rules! huge {
    ($name:literal, $pin:ident, $kind:ident, $about:literal) => {
        Scenario {
            name: $name,
            finding: |kernel| (kernel == KernelKind::NoBioWake).then_some("A"),
            about: $about,
            source: "fs/dax.c: dax_busy_page() looks at all pages of an entry; from 6.15 on they are \
                     one folio",
            fs: &FileSystem::ALL,
            contract: Contract::MustWait,
            signs: Signs {
                complaints: &[
                    Allowed::warning("dax_disassociate_entry"),
                    Allowed::warning("truncate_folio_batch_exceptionals"),
                    Allowed::oops("page_cache_pipe_buf_release"),
                ],
                errors: &[],
            },
            expected: |kernel, fs| slips(kernel, fs, Pin::$pin, RemovalKind::$kind),
            run: |rig, fs, seen| {
                Box::pin(huge(rig, fs, seen, Pin::$pin, RemovalKind::$kind))
            },
        }
    };
}

pub(super) const SCENARIOS: &[Scenario] = &[
    huge!(
        "huge-transfer-truncate",
        AioRead,
        Truncate,
        "2 MiB of a file are mapped by one entry; a transfer reads into one of its pages, and the \
         file is truncated"
    ),
    huge!(
        "huge-transfer-punch",
        AioRead,
        Punch,
        "2 MiB of a file are mapped by one entry; a transfer reads into one of its pages, and half \
         of the entry becomes a hole"
    ),
    huge!(
        "huge-pipe-truncate",
        Vmsplice,
        Truncate,
        "2 MiB of a file are mapped by one entry; one of its pages is in a pipe, and the file is \
         truncated"
    ),
    huge!(
        "huge-pipe-punch",
        Vmsplice,
        Punch,
        "2 MiB of a file are mapped by one entry; one of its pages is in a pipe, and half of the \
         entry becomes a hole"
    ),
];

/// The outcomes of the matrix. From 6.15 on, the pages of an entry are one folio, whose references are
/// its head's: a kernel that splits the folio under a pipe finds a page without references when the
/// pipe is drained, and CONFIG_DEBUG_VM makes that a panic.
fn slips(kernel: KernelKind, fs: FileSystem, pin: Pin, kind: RemovalKind) -> Vec<Outcome> {
    let mut outcomes = expected(kernel, fs, pin, kind);
    if kernel == KernelKind::NoWait && pin == Pin::Vmsplice {
        outcomes = vec![Outcome::Harmed, Outcome::Panicked];
    }
    outcomes
}

/// One fault for the first load, and one for the first store.
const FAULTS: u64 = 2;

async fn huge(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    pin: Pin,
    kind: RemovalKind,
) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    if fs != FileSystem::Fuse {
        let (path, len) = (fixture.files.file.clone(), fixture.files.len);
        let content = Overwrite {
            path: path.clone(),
            offset: 0,
            len,
            seed: fixture.page.seed,
        };
        fixture.remover.ask(Align { path, len }).await?;
        fixture.remover.ask(content).await?;
    }
    // No page of the file's first range has been mapped yet. One that had been would have an entry
    // of its own, and the kernel would map the others by such entries, too.
    let map = MapHuge {
        name: "huge".to_owned(),
        file: "file".to_owned(),
        offset: 0,
    };
    let name = map.name.clone();
    let faults = fixture.pinner.ask(map).await?;
    if faults > FAULTS {
        matrix::close(rig, fixture, seen).await?;
        let why = format!("{fs} maps 2 MiB by {faults} faults, and not by one entry");
        return Err(Lacking(why).into());
    }
    seen.step(format_args!("2 MiB are mapped, by {faults} faults"));
    fixture.page = Page {
        map: name.clone(),
        at: PINNED_PAGE as usize,
        offset: PINNED_PAGE,
        ..fixture.page
    };
    let at = fixture.page.at;
    fixture.frame = fixture.pinner.ask(FrameOf { map: name, at }).await?;
    let held = matrix::take(rig, &mut fixture, pin, seen).await?;
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}
