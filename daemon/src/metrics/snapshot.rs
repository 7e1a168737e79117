// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All numbers that can be shown, at one time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::counters::Event;
use crate::metrics::{Cell, Metrics, Observed, Refusal, SnapshotSource, Trait, WindowSnapshot};
use crate::node::NodeId;

/// The daemon's numbers. Each is right by itself; they are not of one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) taken: Instant,
    /// Requests taken off each queue.
    pub(super) queues: Vec<u64>,
    /// For each queue, the time of a request with polling and without.
    pub(super) poll_times: Vec<[Option<Duration>; 2]>,
    /// The counters that are there in any case.
    pub(super) events: Vec<Event>,
    /// Mappings refused, by reason.
    pub(super) refusals: Vec<(&'static str, u64)>,
    /// What was collected.
    pub(super) observed: Observed,
    /// The window, if there is one.
    pub(super) window: Option<Window>,
    /// How the VMM was found to behave, in the order of [`Trait::ALL`].
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
    /// Takes a snapshot. Asks the host's file system for the sizes of files.
    pub(super) fn take(metrics: &Metrics, observed: Observed, look: &dyn SnapshotSource) -> Self {
        let window = look
            .window()
            .map(|seen| Window::new(seen, &observed.cells, look));
        Self {
            taken: Instant::now(),
            queues: metrics.requests.iter().map(|queue| queue.get()).collect(),
            poll_times: (metrics.poll_times.iter())
                .map(|times| [true, false].map(|polled| times.get(polled)))
                .collect(),
            events: metrics.events(),
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
