// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! When the guest hears of what was returned.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;

use vhost_user_backend::VringT;
use vm_memory::GuestAddressSpace;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::{NextChain, Notify, Ring};
use crate::adapter::{AtomicMemory, HeadIndex, TransportMemory};
use crate::testing::Driver;

pub(crate) struct Case {
    driver: Driver,
    pub(crate) ring: Ring,
    call: EventFd,
}

impl Case {
    pub(crate) fn new() -> Self {
        let mut driver = Driver::new();
        let ring = driver.ring_at(65530);
        let call = EventFd::new(EFD_NONBLOCK).expect("an event");
        let case = Self { driver, ring, call };
        case.ring.set_call(Some(case.call_file()));
        case
    }

    fn call_file(&self) -> File {
        let call = self.call.try_clone().expect("a duplicate");
        // SAFETY: the descriptor has no other owner once its `EventFd` is forgotten.
        let file = unsafe { File::from_raw_fd(call.as_raw_fd()) };
        std::mem::forget(call);
        file
    }

    /// Serves one request, and says how often the guest has been called since the last look.
    pub(crate) fn serve(&mut self, notify: Notify) -> u64 {
        self.driver.offer(b"request", 16);
        self.serve_offered(notify)
    }

    /// Serves the first of the requests that have been offered.
    fn serve_offered(&mut self, notify: Notify) -> u64 {
        let memory = self.driver.memory.memory().into_inner();
        let Ok(NextChain::Chain { chain, guard, .. }) = self.ring.pop(&memory) else {
            panic!("a request is available");
        };
        let head = HeadIndex(chain.head_index());
        let completed = self.ring.complete(guard, head, 0, notify);
        completed.expect("a used ring");
        assert_eq!(self.driver.used().len(), 1, "a poller sees it at once");
        self.calls()
    }

    pub(crate) fn calls(&self) -> u64 {
        let mut count = [0; 8];
        match self.call_file().read_exact(&mut count) {
            Ok(()) => u64::from_ne_bytes(count),
            Err(_) => 0,
        }
    }
}

#[test]
fn requests_are_told_of_one_by_one_or_together() {
    let mut case = Case::new();
    assert_eq!(case.serve(Notify::Now), 1);
    case.ring.notify();
    assert_eq!(case.calls(), 0, "there is nothing left to tell");
    assert_eq!(case.serve(Notify::Later), 0);
    assert_eq!(case.serve(Notify::Later), 0);
    case.ring.notify();
    assert_eq!(case.calls(), 1);
    assert_eq!(case.serve(Notify::Later), 0);
    assert_eq!(case.serve(Notify::Now), 1);
}

#[test]
fn no_more_than_some_are_told_of_together() {
    let mut case = Case::new();
    for _ in 0..2 {
        for nth in 1..=8 {
            let told = u64::from(nth == 8);
            assert_eq!(case.serve(Notify::Later), told, "request {nth}");
        }
    }
}

#[test]
fn what_waits_on_the_ring_is_counted() {
    let mut case = Case::new();
    for _ in 0..8 {
        case.serve(Notify::Later);
    }
    for _ in 0..12 {
        case.driver.offer(b"request", 0);
    }
    // 12 are waiting and 8 were told of.
    for nth in 1..=12 {
        let told = u64::from(nth == 10);
        assert_eq!(case.serve_offered(Notify::Later), told, "request {nth}");
    }
}

#[test]
fn a_ring_that_is_stopped_leaves_nothing_untold() {
    let mut case = Case::new();
    assert_eq!(case.serve(Notify::Later), 0);
    Driver::stop(&case.ring);
    assert_eq!(case.calls(), 1);
}

#[test]
fn a_ring_that_is_not_in_memory_is_neither_read_nor_written() {
    let mut case = Case::new();
    let ring = case.ring.clone();
    case.driver.offer(b"request", 16);
    let table = case.driver.memory.memory().into_inner();
    let Ok(NextChain::Chain { chain, guard, .. }) = ring.pop(&table) else {
        panic!("a request is available");
    };
    case.driver.offer(b"request", 16);
    ring.set_memory(AtomicMemory::new(TransportMemory::new()));
    let head = HeadIndex(chain.head_index());
    let completed = ring.complete(guard, head, 0, Notify::Now);
    completed.expect_err("the reply can't be returned");
    ring.disable_notification()
        .expect_err("the driver can't be asked");
    ring.enable_notification().expect_err("nor be looked at");
    let none = Arc::new(TransportMemory::new());
    assert!(ring.pop(&none).is_err(), "nor is a request taken");
    assert!(case.driver.used().is_empty(), "returned after all");
    assert!(case.driver.wants_kicks(), "asked after all");
}
