// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether a removal waits until the release.
//!
//! A removal that was seen waiting can still return too early: its wait may have a time-out, or end
//! at any wake-up. So the removal is watched while the pin is held, and its stack is read once more.
//! After the release a return counts as early if it came before the release.

use std::time::{Duration, Instant};

use anyhow::Result;
use guest_agent::removals::Removal;

use super::fixture::Fixture;
use super::held::Ended;
use super::{Observation, RemovalKind};
use crate::host::{BREAK_LAYOUTS, Done, Pending, Rig, Waiting, Who, Worker, sleeping};

/// How long a removal that waits is watched while the pin is held. A wait whose time-out is longer
/// is not told from a right one.
const WATCHED: Duration = Duration::from_millis(2500);

/// The worker that frees ranges of the window.
const RECLAIM_WORKER: &str = "fuse_dax_free_mem_worker";

/// Watches a removal that was seen waiting, while the pin is held.
pub(super) async fn watch_on(
    rig: &mut Rig,
    fixture: &mut Fixture,
    pending: &Pending<Removal>,
) -> Result<Waiting<()>> {
    match fixture.remover.done_within(pending, WATCHED).await? {
        Some(done) => Ok(Waiting::Over(done)),
        None => fixture.kind.watch(rig, fixture, pending).await,
    }
}

/// Whether a removal returned before the pin's release, which the host began at `released`.
pub(super) fn is_early<Y>(done: &Done<Y>, released: Instant, ended: &Ended) -> bool {
    let by_guest = ended.released_ns;
    done.heard < released || by_guest.is_some_and(|release| done.span.ended_ns < release)
}

impl RemovalKind {
    /// Waits until the removal is over or waits for the page. If Linux's worker waits, its stack
    /// shows it; a task that wants the worker's range waits for the worker.
    pub(super) async fn watch(
        self,
        rig: &mut Rig,
        fixture: &mut Fixture,
        pending: &Pending<Removal>,
    ) -> Result<Waiting<()>> {
        let remover = &mut fixture.remover;
        Ok(if self == Self::ReclaimWorker {
            Waiting::of_worker(remover, pending, rig.watcher(), RECLAIM_WORKER).await?
        } else {
            Waiting::of(remover, pending, rig.watcher(), &BREAK_LAYOUTS).await?
        })
    }

    /// The task that waits for the page in this removal.
    pub(super) fn waiter(self, remover: &Worker) -> Who<'static> {
        match self {
            Self::ReclaimWorker => Who::Worker(RECLAIM_WORKER),
            _ => Who::Process(remover.pid()),
        }
    }
}

/// Records a task that does not return: it is stuck if it still sleeps in one of `functions`, where
/// it waits; otherwise it hangs elsewhere.
pub(super) async fn does_not_return(
    watcher: &mut Worker,
    who: Who<'_>,
    functions: &[&str],
    seen: &mut Observation,
) -> Result<()> {
    if let Some(task) = sleeping(watcher, who, functions).await? {
        seen.evidence.stack = Some(task.stack);
        seen.stuck = true;
        return Ok(());
    }
    let task = sleeping(watcher, who, &[]).await?;
    seen.is_elsewhere(task);
    Ok(())
}

#[cfg(test)]
mod tests {
    use guest_agent::worker::Span;

    use super::*;

    #[test]
    fn a_return_before_the_release_is_early_by_either_clock() {
        let released = Instant::now();
        let ended = |released_ns| Ended {
            released,
            span: Span {
                began_ns: 1000,
                ended_ns: 2000,
            },
            released_ns,
            leaked: None,
            failed: None,
        };
        let (by_server, ended) = (ended(None), ended(Some(1000)));
        let done = |heard, ended_ns| Done {
            outcome: Ok(()),
            span: Span {
                began_ns: 10,
                ended_ns,
            },
            heard,
        };
        let later = released + Duration::from_millis(1);
        let before = released - Duration::from_millis(1);
        assert!(!is_early(&done(later, 2100), released, &ended));
        // The host can hear of it between the release and its end in the guest.
        assert!(!is_early(&done(later, 1500), released, &ended));
        assert!(is_early(&done(before, 2100), released, &ended));
        assert!(is_early(&done(later, 900), released, &ended));
        // The guest began to look for the end of the transfer after the removal had returned.
        assert!(!is_early(&done(later, 900), released, &by_server));
        assert!(is_early(&done(before, 900), released, &by_server));
    }
}
