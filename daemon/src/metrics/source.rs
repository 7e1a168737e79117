// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Takes snapshots, at a limited rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::snapshot::Snapshot;
use crate::metrics::{Metrics, SnapshotSource};

/// A snapshot is reused for this long. Clients with one or two requests a second see no difference,
/// and a client that polls in a loop costs the serving threads no more than those.
const FRESH: Duration = Duration::from_millis(100);

/// Where the numbers come from.
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
