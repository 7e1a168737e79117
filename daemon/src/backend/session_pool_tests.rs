// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A session whose pool has all of its threads inside window operations.

use std::thread;
use std::time::Instant;

use vhost::vhost_user::VhostUserFrontend;

use super::{Case, PAGE};
use crate::backend::Metrics;
use crate::testing::fuse::{self, Operation};
use crate::testing::{Held, MUST_HAPPEN, expect, in_background};

/// A pool of `threads`, each in a SETUPMAPPING that the front end does not answer, and a GETATTR
/// more. The number of requests that have a thread, INIT and LOOKUP included.
fn busy_pool(threads: usize) -> (Case, u64) {
    let mut case = Case::new(threads);
    let node = case.mount();
    case.front_end.hold(Held::Mappings);
    for page in 0..threads as u64 {
        let setup = fuse::setup_mapping(node, 0, PAGE, page * PAGE);
        case.front_end.offer(&setup, fuse::OUT_HEADER);
    }
    case.front_end.wait_for_a_call();
    let with_a_thread = 2 + threads as u64;
    case.wait_for("requests to be taken off the queue", |metrics| {
        metrics.requests[1].get() >= with_a_thread
    });
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    case.front_end.offer(&getattr, 256);
    case.exchange_much();
    (case, with_a_thread)
}

impl Case {
    fn wait_for(&self, what: &str, happened: impl Fn(&Metrics) -> bool) {
        let deadline = Instant::now() + MUST_HAPPEN;
        while !happened(&self.metrics) {
            assert!(
                Instant::now() < deadline,
                "waited {MUST_HAPPEN:?} for {what}"
            );
            thread::yield_now();
        }
    }
}

/// Waits until `count` requests were returned.
fn wait_for_replies(case: &mut Case, count: usize) {
    let mut returned = 0;
    while returned < count {
        case.front_end.wait_for_a_return();
        returned += case.front_end.driver.used().len();
    }
    assert_eq!(returned, count);
}

#[test]
fn the_queue_can_be_stopped_while_all_threads_wait_for_the_front_end() {
    for threads in [1, 2] {
        let (mut case, with_a_thread) = busy_pool(threads);
        let base = case.front_end.stop_queue();
        assert_eq!(
            u64::from(base),
            with_a_thread,
            "the request without a thread is the next owner's of the queue"
        );
        case.front_end.release();
        case.front_end.start_queue(base);
        wait_for_replies(&mut case, threads + 1);
        assert_eq!(case.front_end.mapped().len(), threads);
        case.end();
    }
}

#[test]
fn the_device_can_be_reset_while_all_threads_wait_for_the_front_end() {
    for threads in [1, 2] {
        let (mut case, _) = busy_pool(threads);
        let mut frontend = case.front_end.frontend.clone();
        let reset = in_background(move || frontend.reset_device());
        expect(&reset, "RESET_DEVICE").expect("RESET_DEVICE");
        case.front_end.release();
        case.front_end.negotiate_again();
        case.front_end.start_queue(case.front_end.driver.offered());
        case.mount();
        case.wait_for("requests to be given up", |metrics| {
            metrics.abandoned.get() == threads as u64
        });
        case.end();
    }
}

#[test]
fn a_session_ends_while_all_threads_wait_for_the_front_end() {
    for threads in [1, 2] {
        let (case, _) = busy_pool(threads);
        case.end();
    }
}
