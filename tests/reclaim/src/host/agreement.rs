// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether guest and daemon tell the same story.

use std::time::Duration;

use anyhow::{Result, bail};
use guest_agent::workload::{Count, Counts};
use qemu_guest::vm::Worker;
use tokio::time::{Instant, sleep};

use super::Metrics;

/// How long the kernel's worker may go on with what it began in a turn.
const SETTLE_DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until the guest's counts of a turn are the daemon's: what the guest has sent the daemon may
/// not have done yet, and the worker may be at work.
///
/// # Errors
///
/// If they don't come to agree.
pub(super) async fn settled(
    worker: &mut Worker,
    socket: &std::path::Path,
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
