// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The metrics of a daemon with a window, and the comparison with the guest's counts.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use guest_agent::workload::{Count, Counts};
use qemu_guest::vm::Worker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

/// How long the daemon may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"GET /metrics HTTP/1.0\r\nHost: daxd\r\n\r\n";

/// The age that the daemon's values may have, and a little more.
pub(super) const STALE: Duration = Duration::from_millis(150);

/// Counters since the daemon's start, and current values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// SETUPMAPPING requests.
    pub set_up: u64,
    /// SETUPMAPPING requests that were refused.
    pub refused: u64,
    /// Ranges that the VMM unmapped.
    pub removed: u64,
    /// Bytes of the window that are mapped now.
    pub mapped_bytes: u64,
    /// Bytes of files in the mapped ranges.
    pub used_bytes: u64,
}

const ACCEPTED: &str = "virtiofs_daxd_setupmapping_ok_total";
const REFUSED: &str = "virtiofs_daxd_setupmapping_refused_total";
const REMOVED: &str = "virtiofs_daxd_window_unmaps_total";
const MAPPED: &str = "virtiofs_daxd_window_occupied_bytes";
const USED: &str = "virtiofs_daxd_window_used_bytes";

impl Metrics {
    /// Fetches the metrics from a socket.
    pub async fn at(socket: &Path) -> Result<Self> {
        let asked = async {
            let mut stream = UnixStream::connect(socket).await?;
            stream.write_all(REQUEST).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            Self::read(&text)
        };
        let asked = timeout(DEADLINE, asked).await;
        let asked = asked.unwrap_or_else(|_elapsed| bail!("timed out after {DEADLINE:?}"));
        asked.with_context(|| format!("no metrics at {}", socket.display()))
    }

    fn read(text: &str) -> Result<Self> {
        let sum = |name| {
            let sum = sum(text, name);
            sum.with_context(|| format!("the daemon's metrics have no {name}"))
        };
        // The metrics list a reason only after its first occurrence.
        let refused = sum(REFUSED).unwrap_or(0);
        Ok(Self {
            set_up: sum(ACCEPTED)? + refused,
            refused,
            removed: sum(REMOVED)?,
            mapped_bytes: sum(MAPPED)?,
            used_bytes: sum(USED)?,
        })
    }
}

/// The sum of a family's samples; `None` if it has none.
fn sum(text: &str, family: &str) -> Option<u64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest,
        };
        let value: f64 = rest.strip_prefix(' ')?.trim().parse().ok()?;
        Some(value as u64)
    });
    samples.fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
}

/// How long the kernel's worker may take to complete what it began in a turn.
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until the guest's counts of a turn equal the daemon's. The daemon may not have served all
/// requests yet, and the worker may be active.
pub async fn settled(
    worker: &mut Worker,
    socket: &Path,
    before: Metrics,
) -> Result<Option<(Counts, Metrics)>> {
    let deadline = Instant::now() + SETTLE_DEADLINE;
    loop {
        let Some(counts) = worker.ask(Count {}).await? else {
            return Ok(None);
        };
        let after = Metrics::at(socket).await?;
        let (set_up, removed) = (after.set_up - before.set_up, after.removed - before.removed);
        if agree(counts, set_up, removed) {
            return Ok(Some((counts, after)));
        }
        if Instant::now() > deadline {
            bail!(
                "guest and daemon disagree: the guest asked for {} mappings and for the removal of \
                 {}, the daemon has set up {set_up} and removed {removed}",
                counts.set_up,
                counts.removed
            );
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn agree(counts: Counts, set_up: u64, removed: u64) -> bool {
    counts.set_up == set_up && counts.removed == removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_family_are_added() {
        let text =
            "# HELP a_total x\na_total{of=\"x\"} 3\na_total{of=\"y\"} 4\na_total_more 9\nb 2.5e3\n";
        assert_eq!(sum(text, "a_total"), Some(7));
        assert_eq!(sum(text, "b"), Some(2500));
        assert_eq!(sum(text, "c"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Metrics::read("").unwrap_err().to_string();
        assert!(error.contains(ACCEPTED), "{error}");
    }

    #[test]
    fn one_mapping_more_or_less_is_seen() {
        let counts = Counts {
            set_up: 5,
            removed: 3,
            ..Counts::default()
        };
        assert!(agree(counts, 5, 3));
        for (set_up, removed) in [(4, 3), (6, 3), (5, 2), (5, 4)] {
            assert!(!agree(counts, set_up, removed));
        }
    }
}
