// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sessions whose threads are inside window operations: those of the pool, or the window's own, for
//! which others wait.

use std::thread;
use std::time::Instant;

use vhost::vhost_user::VhostUserFrontend;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::{Case, PAGE};
use crate::metrics::Metrics;
use crate::metrics::Trait;
use crate::testing::fuse::{self, Operation};
use crate::testing::{BUFFERS, Held, MEMORY_SIZE, MUST_HAPPEN, expect, in_background};

/// A pool of `threads`, each in a DESTROY, which empties the window and gets no answer of the front
/// end; and a GETATTR more. The number of requests that have a thread.
fn busy_pool(threads: usize) -> (Case, u64) {
    let mut case = Case::new(threads);
    let node = case.mount();
    case.map(node);
    case.front_end.hold(Held::Mappings);
    for _ in 0..threads {
        let destroy = fuse::request(Operation::Destroy, 0, &[]);
        case.front_end.offer(&destroy, fuse::OUT_HEADER);
    }
    case.front_end.wait_for_a_call();
    // INIT, LOOKUP and SETUPMAPPING, too.
    let with_a_thread = 3 + threads as u64;
    case.wait_for("requests to be taken off the queue", |metrics| {
        metrics.requests[1].get() >= with_a_thread
    });
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    case.front_end.offer(&getattr, 256);
    case.exchange_much();
    (case, with_a_thread)
}

/// Three mappings: one that the front end does not answer, and two that wait for their thread. All
/// are off the queue; there was nothing else but INIT and LOOKUP.
fn busy_window_thread(threads: usize) -> Case {
    let mut case = Case::new(threads);
    let node = case.mount();
    case.front_end.hold(Held::Mappings);
    for page in 0..3 {
        let setup = fuse::setup_mapping(node, 0, PAGE, page * PAGE);
        case.front_end.offer(&setup, fuse::OUT_HEADER);
    }
    case.front_end.wait_for_a_call();
    case.wait_for("requests to be taken off the queue", |metrics| {
        metrics.requests[1].get() == 5
    });
    case
}

/// A mapping that the front end does not answer, asked for by the thread that took it off the queue,
/// and a GETATTR behind it. There was nothing else but INIT, LOOKUP and another mapping.
fn waiting_by_itself(threads: usize) -> Case {
    let mut case = Case::new(threads);
    let node = case.mount();
    case.map(node);
    case.answers_after_effect();
    case.front_end.hold(Held::Mappings);
    let setup = fuse::setup_mapping(node, 0, PAGE, PAGE);
    case.front_end.offer(&setup, fuse::OUT_HEADER);
    case.front_end.wait_for_a_call();
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    case.front_end.offer(&getattr, 256);
    case.exchange_much();
    assert_eq!(
        case.metrics.requests[1].get(),
        4,
        "the GETATTR was taken, so the mapping is another thread's"
    );
    case
}

impl Case {
    /// From now on the front end is known for one that answers when a mapping is in effect.
    pub(crate) fn answers_after_effect(&self) {
        self.metrics.vmm.set(Trait::AnswersAfterEffect, Some(true));
    }

    pub(crate) fn wait_for(&self, what: &str, happened: impl Fn(&Metrics) -> bool) {
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
        assert!(case.front_end.mapped().is_empty());
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

#[test]
fn the_queue_can_be_stopped_while_mappings_wait_for_their_thread() {
    for threads in [0, 2] {
        let mut case = busy_window_thread(threads);
        let base = case.front_end.stop_queue();
        assert_eq!(base, 5);
        case.front_end.release();
        case.exchange_much();
        let early = case.front_end.driver.used();
        assert!(early.is_empty(), "returned to a queue that is stopped");
        case.front_end.start_queue(base);
        wait_for_replies(&mut case, 3);
        assert_eq!(case.front_end.mapped().len(), 3);
        case.end();
    }
}

#[test]
fn the_device_can_be_reset_while_mappings_wait_for_their_thread() {
    for threads in [0, 2] {
        let mut case = busy_window_thread(threads);
        case.front_end.reset();
        case.front_end.release();
        case.front_end.start_queue(case.front_end.driver.offered());
        case.mount();
        case.wait_for("requests to be given up", |metrics| {
            metrics.abandoned.get() == 3
        });
        assert!(case.front_end.mapped().is_empty());
        case.end();
    }
}

#[test]
fn a_session_ends_while_mappings_wait_for_their_thread() {
    for threads in [0, 2] {
        busy_window_thread(threads).end();
    }
}

#[test]
fn the_queue_can_be_stopped_while_its_own_thread_waits_for_the_front_end() {
    for threads in [0, 1] {
        let mut case = waiting_by_itself(threads);
        let base = case.front_end.stop_queue();
        assert_eq!(base, 4, "the GETATTR is the next owner's of the queue");
        case.front_end.release();
        case.exchange_much();
        let early = case.front_end.driver.used();
        assert!(early.is_empty(), "returned to a queue that is stopped");
        case.front_end.start_queue(base);
        wait_for_replies(&mut case, 2);
        assert_eq!(case.front_end.mapped(), [0, PAGE]);
        case.end();
    }
}

#[test]
fn the_device_can_be_reset_while_the_queue_s_own_thread_waits_for_the_front_end() {
    for threads in [0, 1] {
        let mut case = waiting_by_itself(threads);
        case.front_end.reset();
        case.front_end.release();
        case.front_end.start_queue(case.front_end.driver.offered());
        case.mount();
        case.wait_for("the request to be given up", |metrics| {
            metrics.abandoned.get() == 1
        });
        assert!(case.front_end.mapped().is_empty());
        case.end();
    }
}

#[test]
fn a_session_ends_while_the_queue_s_own_thread_waits_for_the_front_end() {
    for threads in [0, 1] {
        waiting_by_itself(threads).end();
    }
}

/// One thread waits for the front end, one for what comes next.
#[test]
fn mappings_behind_one_that_is_asked_for_wait_for_their_thread() {
    let mut case = Case::new(2);
    let node = case.mount();
    case.map(node);
    case.answers_after_effect();
    case.front_end.hold(Held::Mappings);
    for page in 1..4 {
        let setup = fuse::setup_mapping(node, 0, PAGE, page * PAGE);
        case.front_end.offer(&setup, fuse::OUT_HEADER);
    }
    case.front_end.wait_for_a_call();
    let getattr = fuse::request(Operation::Getattr, node, &[0; 16]);
    assert_eq!(fuse::errno(&case.front_end.ask(&getattr, 256)), 0);
    case.front_end.release();
    wait_for_replies(&mut case, 3);
    assert_eq!(case.front_end.mapped().len(), 4);
    case.end();
}

/// What a guest has written is read while its ring is there, and once.
#[test]
fn a_mapping_that_waits_for_its_thread_is_the_one_that_was_asked_for() {
    let mut case = busy_window_thread(0);
    let overwritten = vec![0xff; (MEMORY_SIZE - BUFFERS) as usize];
    let memory = case.front_end.driver.memory.memory();
    memory
        .write_slice(&overwritten, GuestAddress(BUFFERS))
        .expect("guest memory");
    drop(memory);
    case.front_end.release();
    wait_for_replies(&mut case, 3);
    assert_eq!(case.front_end.mapped(), [0, PAGE, 2 * PAGE]);
    case.end();
}
