// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Takes snapshots of a device from outside its threads, at a limited rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use shared_window::{Mapping, WindowStats};

use super::snapshot::Snapshot;
use crate::metrics::Metrics;
use crate::node::NodeId;

/// A snapshot is reused for this long. Clients with one or two requests a second see no difference,
/// and a client that polls in a loop costs the serving threads no more than those.
const FRESH: Duration = Duration::from_millis(100);

/// A window, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSnapshot {
    /// The window's size in bytes.
    pub size: u64,
    /// The window's counters.
    pub stats: WindowStats,
    /// Views kept for files, mapped or not.
    pub kept_views: usize,
    /// Memory regions that the VM has in use.
    pub regions: usize,
    /// From this number of regions on, mappings are refused, if there is such a number.
    pub region_limit: Option<usize>,
}

/// Looks at a device. Nothing here waits for a request or for the VMM.
pub trait SnapshotSource: Send + Sync {
    /// The window, if there is one.
    fn window(&self) -> Option<WindowSnapshot>;

    /// The window's ranges that are not free, in order.
    fn mappings(&self) -> Vec<Mapping>;

    /// Whether a view is kept for this file.
    fn keeps_view(&self, node: NodeId) -> bool;

    /// The size of a file in bytes, if the guest still knows the file. Asks the host's file system.
    fn file_size(&self, node: NodeId) -> Option<u64>;
}

/// Takes snapshots of one session for the clients of the metrics.
pub struct Source {
    metrics: Arc<Metrics>,
    look: Arc<dyn SnapshotSource>,
    /// Used only by the thread that serves metrics.
    last: Mutex<Option<Arc<Snapshot>>>,
}

impl Source {
    /// The numbers of a session. Without an observer there are none.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, look: Arc<dyn SnapshotSource>) -> Self {
        Self {
            metrics,
            look,
            last: Mutex::default(),
        }
    }

    /// The numbers of at most [`FRESH`] ago.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        let mut last = self.last.lock();
        if let Some(snapshot) = &*last
            && Instant::now() - snapshot.taken < FRESH
        {
            return Some(Arc::clone(snapshot));
        }
        let observed = self.metrics.observer()?.read(&self.look.mappings());
        let snapshot = Arc::new(Snapshot::take(&self.metrics, observed, &*self.look));
        *last = Some(Arc::clone(&snapshot));
        Some(snapshot)
    }
}
