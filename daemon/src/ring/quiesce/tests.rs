// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Legal and illegal steps of a ring's epoch, without a ring.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::{Abandoned, NotAdmitted, Position, RequestState, RingQuiesce};
use crate::testing::{MUST_HAPPEN, begun_in_background, expect, expect_to_wait, in_background};

const SIZE: u16 = 16;

fn at(next_avail: u16, next_used: u16) -> Position {
    Position {
        desc_table: 0x1000,
        avail_ring: 0x2000,
        used_ring: 0x3000,
        size: SIZE,
        next_avail,
        next_used,
    }
}

fn running() -> Arc<RingQuiesce> {
    let quiesce = Arc::new(RingQuiesce::new());
    quiesce.start(at(0, 0));
    quiesce
}

/// Waits until the quiesce's phase is no longer running, which a stop in the background causes.
fn wait_until_stopping(quiesce: &Arc<RingQuiesce>) {
    let mut state = quiesce.state.lock();
    while state.phase == super::Phase::Running {
        drop(state);
        thread::yield_now();
        state = quiesce.state.lock();
    }
}

#[test]
fn parts_of_a_ring_may_touch_and_not_overlap() {
    // 16 descriptors of 16 bytes; 38 bytes of available ring, 134 of used ring.
    let table = [
        ([0x1000, 0x1100, 0x1126], false),
        ([0x1126, 0x1100, 0x107a], false),
        ([0x1000, 0x10ff, 0x2000], true),
        ([0x1000, 0x2000, 0x10ff], true),
        ([0x1000, 0x2000, 0x2025], true),
        ([0x1000, 0x2000, 0x1f7b], true),
        ([0x1000, 0x2000, 0x2000], true),
        ([0x1000, 0x1000, 0x2000], true),
    ];
    for (places, overlap) in table {
        let [desc_table, avail_ring, used_ring] = places;
        let position = Position {
            desc_table,
            avail_ring,
            used_ring,
            ..at(0, 0)
        };
        assert_eq!(position.parts_overlap(), overlap, "{places:x?}");
    }
}

#[test]
fn no_request_enters_a_ring_that_does_not_run() {
    let quiesce = Arc::new(RingQuiesce::new());
    assert!(quiesce.admit(SIZE).is_err(), "never started");
    quiesce.start(at(0, 0));
    assert!(quiesce.admit(SIZE).is_ok(), "started");
    quiesce.stop(|| at(0, 0));
    assert!(quiesce.admit(SIZE).is_err(), "stopped");
    quiesce.start(at(0, 0));
    quiesce.reset();
    assert!(quiesce.admit(SIZE).is_err(), "reset");
    quiesce.start(at(0, 0));
    assert_eq!(quiesce.close(Instant::now() + MUST_HAPPEN), 0);
    assert!(quiesce.admit(SIZE).is_err(), "closed");
    quiesce.start(at(0, 0));
    assert!(quiesce.admit(SIZE).is_err(), "closed for good");
}

#[test]
fn the_end_waits_for_a_request_on_the_ring_but_not_for_ever() {
    let quiesce = running();
    let guard = quiesce.admit(SIZE).expect("running");
    assert_eq!(quiesce.close(Instant::now()), 1, "one that hangs");
    let closing = Arc::clone(&quiesce);
    let closed = begun_in_background(move || closing.close(Instant::now() + MUST_HAPPEN));
    expect_to_wait(&closed, "a request is on the ring");
    drop(guard);
    assert_eq!(expect(&closed, "the end"), 0);
}

#[test]
fn a_stop_waits_for_a_request_on_the_ring() {
    let quiesce = running();
    let guard = quiesce.admit(SIZE).expect("running");
    let stopping = Arc::clone(&quiesce);
    let stopped = in_background(move || stopping.stop(|| at(1, 1)));
    wait_until_stopping(&quiesce);
    expect_to_wait(&stopped, "stopped under a request in flight");
    drop(guard);
    expect(&stopped, "the stop after the last request");
}

#[test]
fn a_stop_does_not_wait_for_a_request_in_the_window() {
    let quiesce = running();
    let mut guard = quiesce.admit(SIZE).expect("running");
    guard.enter_window();
    let stopping = Arc::clone(&quiesce);
    expect(
        &in_background(move || stopping.stop(|| at(1, 0))),
        "the stop",
    );
    assert_eq!(guard.request_state(), RequestState::Paused);
}

#[test]
fn a_request_in_the_window_goes_on_when_the_vm_is_continued() {
    let quiesce = running();
    let mut guard = quiesce.admit(SIZE).expect("running");
    guard.enter_window();
    quiesce.stop(|| at(1, 0));
    let left = begun_in_background(move || (guard.leave_window(), guard));
    expect_to_wait(&left, "left the window of a stopped ring");
    quiesce.start(at(1, 0));
    let (result, guard) = expect(&left, "the request to leave the window");
    assert_eq!(result, Ok(()));

    // It holds the ring again.
    let stopping = Arc::clone(&quiesce);
    let stopped = in_background(move || stopping.stop(|| at(1, 1)));
    wait_until_stopping(&quiesce);
    expect_to_wait(&stopped, "stopped under a request in flight");
    drop(guard);
    expect(&stopped, "the stop after the last request");
}

#[test]
fn a_request_in_the_window_is_abandoned_when_the_ring_starts_elsewhere() {
    let elsewhere = [
        at(0, 0),
        at(1, 1),
        Position {
            desc_table: 0x8000,
            ..at(1, 0)
        },
        Position {
            used_ring: 0x8000,
            ..at(1, 0)
        },
        Position {
            size: 32,
            ..at(1, 0)
        },
    ];
    for position in elsewhere {
        let quiesce = running();
        let mut guard = quiesce.admit(SIZE).expect("running");
        guard.enter_window();
        quiesce.stop(|| at(1, 0));
        quiesce.start(position);
        assert_eq!(
            guard.request_state(),
            RequestState::Abandoned,
            "{position:?}"
        );
        assert_eq!(guard.wait_while_paused(), Err(Abandoned));
        assert_eq!(guard.leave_window(), Err(Abandoned));
    }
}

#[test]
fn reset_and_close_release_requests_that_wait_in_the_window() {
    type End = fn(&RingQuiesce);
    let close = |quiesce: &RingQuiesce| assert_eq!(quiesce.close(Instant::now() + MUST_HAPPEN), 0);
    let ends: [(&str, End); 2] = [("reset", RingQuiesce::reset), ("close", close)];
    for (name, end) in ends {
        let quiesce = running();
        let mut guard = quiesce.admit(SIZE).expect("running");
        guard.enter_window();
        quiesce.stop(|| at(1, 0));
        let left = begun_in_background(move || guard.leave_window());
        expect_to_wait(&left, "left the window of a stopped ring");
        end(&quiesce);
        assert_eq!(expect(&left, name), Err(Abandoned), "{name}");
    }
}

#[test]
fn an_abandoned_request_does_not_count_in_the_new_life() {
    let quiesce = running();
    let mut guard = quiesce.admit(SIZE).expect("running");
    guard.enter_window();
    quiesce.stop(|| at(1, 0));
    quiesce.start(at(0, 0));
    assert_eq!(guard.leave_window(), Err(Abandoned));
    drop(guard);
    expect(
        &in_background(move || quiesce.stop(|| at(0, 0))),
        "the stop of an idle ring",
    );
}

#[test]
fn no_more_requests_are_in_flight_than_the_ring_has_descriptors() {
    let quiesce = running();
    let mut guards: Vec<_> = (0..SIZE)
        .map(|_| quiesce.admit(SIZE).expect("room"))
        .collect();
    let refused = |quiesce: &Arc<RingQuiesce>| quiesce.admit(SIZE).err();
    assert_eq!(refused(&quiesce), Some(NotAdmitted::Full));
    guards[0].enter_window();
    assert_eq!(
        refused(&quiesce),
        Some(NotAdmitted::Full),
        "still in flight"
    );
    guards.swap_remove(0);
    guards.push(quiesce.admit(SIZE).expect("one was returned"));

    // In a new epoch those of the old one do not count, neither before nor after they end.
    guards
        .iter_mut()
        .for_each(super::InFlightGuard::enter_window);
    quiesce.reset();
    quiesce.start(at(0, 0));
    let _first = quiesce.admit(SIZE).expect("nothing is in flight");
    drop(guards);
    let rest: Vec<_> = (1..SIZE).map(|_| quiesce.admit(SIZE)).collect();
    assert!(rest.iter().all(Result::is_ok));
    assert_eq!(refused(&quiesce), Some(NotAdmitted::Full));
}
