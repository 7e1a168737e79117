// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All that can be shown, as it was at one time.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::fs::NodeId;
use crate::metrics::{Cell, Metrics, Observed, Refusal, SnapshotSource, Trait, WindowSnapshot};

/// The event of a mapped page that the VMM found gone.
pub(super) const LOST_PAGES: &str = "lost_mapped_pages";
/// The event of a store to such a page.
pub(super) const LOST_STORES: &str = "lost_stored_pages";

/// The daemon's numbers. Each is right by itself; they are not of one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) taken: Instant,
    /// Requests taken off each queue.
    pub(super) queues: Vec<u64>,
    /// The counters that are there in any case: name, what is counted, number.
    pub(super) events: Vec<(&'static str, &'static str, u64)>,
    /// Mappings refused, by reason.
    pub(super) refusals: Vec<(&'static str, u64)>,
    /// What was collected.
    pub(super) observed: Observed,
    /// The window, if there is one.
    pub(super) window: Option<Window>,
    /// What the VMM was found to do, in the order of [`Trait::ALL`].
    pub(super) vmm: [Option<bool>; Trait::ALL.len()],
}

/// A window and what is in it.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) look: WindowSnapshot,
    /// The sizes of the files that have mappings, as far as they are known.
    pub(super) sizes: BTreeMap<NodeId, Option<u64>>,
    /// Files with an open view: mapped ones, and others whose view is kept.
    pub(super) views: u64,
}

impl Snapshot {
    /// Looks at everything. The sizes of files are asked of the host's file system.
    pub(super) fn take(metrics: &Metrics, observed: Observed, look: &dyn SnapshotSource) -> Self {
        let window = look
            .window()
            .map(|seen| Window::new(seen, &observed.cells, look));
        Self {
            taken: Instant::now(),
            queues: metrics.requests.iter().map(|queue| queue.get()).collect(),
            events: events(metrics),
            refusals: Refusal::ALL
                .map(|reason| (reason.name(), metrics.refusals.of(reason).get()))
                .into(),
            observed,
            window,
            vmm: Trait::ALL.map(|of| metrics.vmm.get(of)),
        }
    }

    /// The number of events of this name.
    pub(super) fn event(&self, name: &str) -> u64 {
        let found = self.events.iter().find(|(known, ..)| *known == name);
        found.map_or(0, |(.., count)| *count)
    }

    /// Bytes of the window that are mapped, or may be.
    pub(super) fn occupied_bytes(&self) -> u64 {
        self.observed.cells.iter().map(|cell| cell.len).sum()
    }
}

impl Window {
    fn new(seen: WindowSnapshot, cells: &[Cell], look: &dyn SnapshotSource) -> Self {
        let mut sizes = BTreeMap::new();
        for cell in cells {
            sizes
                .entry(cell.node)
                .or_insert_with(|| look.file_size(cell.node));
        }
        let not_kept = sizes.keys().filter(|node| !look.keeps_view(**node)).count();
        Self {
            views: (seen.kept_views + not_kept) as u64,
            look: seen,
            sizes,
        }
    }

    /// Bytes of files behind the mappings: a range may reach beyond its file's end.
    pub(super) fn used_bytes(&self, cells: &[Cell]) -> u64 {
        cells
            .iter()
            .map(|cell| match self.sizes.get(&cell.node) {
                Some(Some(size)) => size.saturating_sub(cell.from.0).min(cell.len),
                _ => 0,
            })
            .sum()
    }
}

/// The counters that count whether or not anybody looks.
fn events(metrics: &Metrics) -> Vec<(&'static str, &'static str, u64)> {
    [
        (
            "bad_chains",
            "Descriptor chains that are no request",
            &metrics.bad_chains,
        ),
        (
            "bad_heads",
            "Available ring entries that name no descriptor",
            &metrics.bad_heads,
        ),
        (
            "bad_rings",
            "Rings found in a state from which no request can be taken",
            &metrics.bad_rings,
        ),
        (
            "bad_requests",
            "FUSE requests that could not be parsed",
            &metrics.bad_requests,
        ),
        (
            "panics",
            "Panics of the FUSE server, each contained in one request",
            &metrics.panics,
        ),
        (
            "lost_replies",
            "Replies that could not be put on the used ring",
            &metrics.lost_replies,
        ),
        (
            "lost_pages",
            "Pages of guest memory whose file had been truncated",
            &metrics.lost_pages,
        ),
        (
            "unreachable_buffers",
            "Requests with a buffer that is neither memory nor in a file that is mapped",
            &metrics.unreachable_buffers,
        ),
        (
            LOST_PAGES,
            "Pages of mapped files that the VMM found gone; the guest reads zeros",
            &metrics.lost_mapped,
        ),
        (
            LOST_STORES,
            "Pages of mapped files whose stores by the guest were lost",
            &metrics.lost_stores,
        ),
        (
            "abandoned_requests",
            "Requests given up because their ring was reset under them",
            &metrics.abandoned,
        ),
        (
            "setupmapping_ok",
            "SETUPMAPPING requests answered with success",
            &metrics.mappings_set_up,
        ),
        ("removemapping", "REMOVEMAPPING requests", &metrics.removals),
        (
            "window_clears",
            "Times that the whole window was cleared (INIT, DESTROY, device reset)",
            &metrics.clears,
        ),
        (
            "files_opened",
            "Files opened for the window",
            &metrics.files_opened,
        ),
    ]
    .map(|(name, help, counter)| (name, help, counter.get()))
    .into()
}
