// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reports to the window's channel when the VMM stops and starts the device.
//!
//! The VMM stops the device with the first of its running rings that stops, and starts it with the
//! first ring that starts. A ring that does not run and is disabled, or enabled without being set up,
//! reports nothing: the next driver may use fewer rings than the one before, and QEMU enables them all.

use parking_lot::Mutex;
use shared_window::{Moment, VhostUserShmem};

/// What one ring reports to the channel.
#[derive(Default)]
pub(crate) struct RingPause {
    ring: Mutex<RingState>,
}

#[derive(Default)]
struct RingState {
    /// The time at which the ring was started, while it is running.
    started: Option<Moment>,
    channel: Option<VhostUserShmem>,
}

impl RingPause {
    /// Lets `channel` stop and start with the ring, from the first call on. A start that came before is
    /// reported now.
    pub(crate) fn attach(&self, channel: &VhostUserShmem) {
        let mut ring = self.ring.lock();
        if ring.channel.is_none() {
            ring.channel = Some(channel.clone());
            if let Some(started) = ring.started {
                channel.start(started);
            }
        }
    }

    /// Records that the VMM has changed the ring, and whether the ring is running now. Does not
    /// block.
    pub(crate) fn follow(&self, running: bool) {
        let mut ring = self.ring.lock();
        if running == ring.started.is_some() {
            return;
        }
        ring.started = running.then(Moment::now);
        if let Some(channel) = &ring.channel {
            ring.started
                .map_or_else(|| channel.stop(), |at| channel.start(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_window::{VhostUserShmem, Vmm, VmmError, WindowOffset};

    use super::RingPause;
    use crate::testing::{begun_in_background, expect, expect_to_wait};

    /// A call on a channel that the VMM has not passed: it waits, and then fails.
    fn unmap(channel: &VhostUserShmem) -> impl FnOnce() -> Result<(), VmmError> + use<> {
        let channel = channel.clone();
        move || channel.unmap(WindowOffset(0), 4096)
    }

    /// Rings that have been served; the first `running` of them are running.
    fn rings<const N: usize>(channel: &VhostUserShmem, running: usize) -> [RingPause; N] {
        std::array::from_fn(|nth| {
            let ring = RingPause::default();
            ring.follow(nth < running);
            ring.attach(channel);
            ring
        })
    }

    #[test]
    fn a_call_waits_while_the_device_is_stopped() {
        let channel = VhostUserShmem::new();
        let [ring] = rings(&channel, 1);
        ring.follow(false);
        let called = begun_in_background(unmap(&channel));
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        ring.follow(true);
        let answer = expect(&called, "the call after the start");
        assert!(matches!(answer, Err(VmmError::NoChannel)), "{answer:?}");
    }

    #[test]
    fn a_call_fails_when_the_vmm_is_gone() {
        let channel = VhostUserShmem::new();
        let [ring] = rings(&channel, 1);
        ring.follow(false);
        let called = begun_in_background(unmap(&channel));
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        channel.close();
        let answer = expect(&called, "the call to fail");
        assert!(matches!(answer, Err(VmmError::NoChannel)), "{answer:?}");
        ring.follow(true);
        ring.follow(false);
        let called = begun_in_background(unmap(&channel));
        expect(&called, "a call to fail at once").expect_err("closed for good");
    }

    #[test]
    fn the_device_stops_with_the_first_ring() {
        let channel = VhostUserShmem::new();
        let [first, second] = rings(&channel, 2);
        first.follow(false);
        let called = begun_in_background(unmap(&channel));
        expect_to_wait(&called, "one ring was still running");
        second.follow(false);
        expect_to_wait(&called, "asked a VMM that has the device stopped");
        first.follow(true);
        expect(&called, "the call after the start").expect_err("there is no channel");
    }

    #[test]
    fn a_ring_that_the_next_driver_does_not_use_keeps_nothing_stopped() {
        let channel = VhostUserShmem::new();
        let all: [_; 3] = rings(&channel, 3);
        all.iter().for_each(|ring| ring.follow(false));
        // One ring is set up and enabled, the others are only enabled.
        for running in [true, false, false] {
            all[usize::from(!running)].follow(running);
        }
        let called = begun_in_background(unmap(&channel));
        expect(&called, "the call after the start").expect_err("there is no channel");
    }

    #[test]
    fn a_ring_that_no_driver_has_used_before_starts_the_device() {
        let channel = VhostUserShmem::new();
        let [old] = rings(&channel, 1);
        let new = RingPause::default();
        new.follow(true);
        old.follow(false);
        new.attach(&channel);
        let called = begun_in_background(unmap(&channel));
        expect_to_wait(
            &called,
            "the ring was running before the device was stopped",
        );
        new.follow(false);
        new.follow(true);
        expect(&called, "the call after the start").expect_err("there is no channel");
        old.follow(true);
        old.follow(false);

        let newest = RingPause::default();
        newest.follow(true);
        newest.attach(&channel);
        let called = begun_in_background(unmap(&channel));
        expect(&called, "its first request comes late").expect_err("there is no channel");
    }
}
