// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window and the totals as JSON, for the page and for `daxlab top`.
//!
//! `daemon/docs/metrics.md` is the manual of this shape; [`VERSION`] changes with what an older
//! reader would misunderstand, not with what it can ignore.

use std::time::{Instant, UNIX_EPOCH};

use serde::Serialize;

use super::counters::{LOST_PAGES, LOST_STORES};
use super::snapshot::{Snapshot, Window as SeenWindow};
use crate::metrics::{Cell, CellState, Trait};
use crate::node::NodeId;

/// Version of the shape.
const VERSION: u32 = 1;
/// What Linux maps at a time, in bytes.
const RANGE: u64 = shared_window::LINUX_RANGE;

#[derive(Serialize)]
struct Shown<'a> {
    version: u32,
    started: f64,
    now_ms: u128,
    totals: Totals<'a>,
    classes: Vec<Class>,
    window: Option<Window<'a>>,
}

#[derive(Serialize)]
struct Totals<'a> {
    requests: u64,
    queues: &'a [u64],
    errors: u64,
    read_bytes: u64,
    written_bytes: u64,
    maps: u64,
    unmaps: u64,
    upgrades: u64,
    repeats: u64,
    replaced: u64,
    refused: u64,
    lost_pages: u64,
    lost_stores: u64,
}

#[derive(Serialize)]
struct Class {
    name: &'static str,
    count: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct Window<'a> {
    size: u64,
    range: u64,
    occupied: u64,
    used: u64,
    views: u64,
    vmm: Vmm,
    regions: Regions,
    files: Vec<File<'a>>,
    ranges: Vec<Range>,
}

/// What the VMM was found to do; null where that is not known.
#[derive(Serialize)]
struct Vmm {
    needs_views: Option<bool>,
    enforces_read_only: Option<bool>,
    uses_regions: Option<bool>,
    answers_after_effect: Option<bool>,
}

impl Vmm {
    fn of(snapshot: &Snapshot) -> Self {
        let does = |of: Trait| snapshot.vmm[of as usize];
        Self {
            needs_views: does(Trait::NeedsViews),
            enforces_read_only: does(Trait::EnforcesReadOnly),
            uses_regions: does(Trait::UsesRegions),
            answers_after_effect: does(Trait::AnswersAfterEffect),
        }
    }
}

#[derive(Serialize)]
struct Regions {
    in_use: usize,
    /// Nothing if there is none.
    limit: Option<usize>,
}

/// A file of the host. Its inode number is text: numbers of JavaScript end at 2^53.
#[derive(Serialize)]
struct File<'a> {
    node: u64,
    device: String,
    inode: String,
    path: Option<&'a str>,
    size: Option<u64>,
}

#[derive(Serialize)]
struct Range {
    at: u64,
    len: u64,
    /// Index in `files`.
    file: usize,
    from: u64,
    age_ms: u128,
    writable: bool,
    state: &'static str,
}

/// The snapshot as JSON.
pub(super) fn text(snapshot: &Snapshot) -> serde_json::Result<String> {
    let observed = &snapshot.observed;
    let started = observed
        .started
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let classes = observed.latencies.iter().map(|(class, times)| Class {
        name: class.name(),
        count: times.count(),
        seconds: times.sum.as_secs_f64(),
    });
    let window = snapshot.window.as_ref();
    serde_json::to_string(&Shown {
        version: VERSION,
        started: started.as_secs_f64(),
        now_ms: observed.running.as_millis(),
        totals: totals(snapshot),
        classes: classes.collect(),
        window: window.map(|window| shown_window(snapshot, window)),
    })
}

fn totals(snapshot: &Snapshot) -> Totals<'_> {
    let observed = &snapshot.observed;
    let stats = snapshot.window.as_ref().map(|window| window.look.stats);
    let stats = stats.unwrap_or_default();
    Totals {
        requests: snapshot.queues.iter().sum(),
        queues: &snapshot.queues,
        errors: observed.errors.iter().map(|(_, count)| count).sum(),
        read_bytes: observed.read_bytes,
        written_bytes: observed.written_bytes,
        maps: stats.mapped,
        unmaps: stats.unmapped,
        upgrades: stats.upgraded,
        repeats: stats.repeated,
        replaced: stats.replaced,
        refused: snapshot.refusals.iter().map(|(_, count)| count).sum(),
        lost_pages: snapshot.event(LOST_PAGES),
        lost_stores: snapshot.event(LOST_STORES),
    }
}

fn shown_window<'a>(snapshot: &'a Snapshot, window: &SeenWindow) -> Window<'a> {
    let cells = &snapshot.observed.cells;
    // The files in the order of their nodes, which is that of the map of sizes.
    let nodes: Vec<NodeId> = window.sizes.keys().copied().collect();
    let file = |node: NodeId| nodes.binary_search(&node).unwrap_or_default();
    let files = nodes.iter().filter_map(|node| {
        let cell = cells.iter().find(|cell| cell.node == *node)?;
        Some(shown_file(cell, window))
    });
    Window {
        size: window.look.size,
        range: RANGE,
        occupied: snapshot.occupied_bytes(),
        used: window.used_bytes(cells),
        views: window.views,
        vmm: Vmm::of(snapshot),
        regions: Regions {
            in_use: window.look.regions,
            limit: window.look.region_limit,
        },
        files: files.collect(),
        ranges: cells
            .iter()
            .map(|cell| shown_range(cell, file(cell.node), snapshot.taken))
            .collect(),
    }
}

fn shown_file<'a>(cell: &'a Cell, window: &SeenWindow) -> File<'a> {
    File {
        node: cell.node.0,
        device: cell.file.device.to_string(),
        inode: cell.file.inode.to_string(),
        path: cell.name.as_deref(),
        size: window.sizes.get(&cell.node).copied().flatten(),
    }
}

fn shown_range(cell: &Cell, file: usize, now: Instant) -> Range {
    Range {
        at: cell.at.0,
        len: cell.len,
        file,
        from: cell.from.0,
        age_ms: now.saturating_duration_since(cell.since).as_millis(),
        writable: cell.writable,
        state: match cell.state {
            CellState::Live => "live",
            CellState::Unknown => "unknown",
        },
    }
}

#[cfg(test)]
mod tests;
