// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Locks of the host, in the events of a session.

use std::fs::OpenOptions;
use std::rc::Rc;

use rustix::fs::{FlockOperation, flock};
use shared_window::DirectViews;
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::{VhostTransferStateDirection, VhostTransferStatePhase};

use super::{Case, share_with_a_file};
use crate::config::LockScope;
use crate::testing::fuse::{self, Operation};
use crate::testing::{FrontEnd, Share, wait_until};

const ROOM: u32 = 256;
const FLOCK: u32 = 1;

/// A session without a window whose guest has the file open; also returns its node and handle.
fn opened(share: &Rc<Share>) -> (Case, u64, u64) {
    let (connect, scope) = (FrontEnd::start_without_window, LockScope::Host);
    let mut case = Case::locking(
        Rc::clone(share),
        0,
        None::<super::SessionWindow<DirectViews>>,
        connect,
        scope,
    );
    let node = case.mount();
    let mut flags = (libc::O_RDWR as u32).to_ne_bytes().to_vec();
    flags.extend([0; 4]);
    let reply = case
        .front_end
        .ask(&fuse::request(Operation::Open, node, &flags), ROOM);
    assert_eq!(fuse::errno(&reply), 0);
    let handle = u64::from_ne_bytes(reply[16..24].try_into().expect("8 bytes"));
    (case, node, handle)
}

/// A message for flock(2).
fn flocking(operation: Operation, node: u64, handle: u64, kind: libc::c_int) -> Vec<u8> {
    let numbers = [handle, 1, 0, 0].into_iter().flat_map(u64::to_ne_bytes);
    let rest = [kind.cast_unsigned(), 0, FLOCK, 0];
    let body: Vec<_> = numbers
        .chain(rest.into_iter().flat_map(u32::to_ne_bytes))
        .collect();
    fuse::request(operation, node, &body)
}

fn set(case: &mut Case, node: u64, handle: u64, kind: libc::c_int) -> i32 {
    let message = flocking(Operation::Setlk, node, handle, kind);
    fuse::errno(&case.front_end.ask(&message, ROOM))
}

/// Whether a process of the host gets the lock.
fn is_free(share: &Share) -> bool {
    let file = OpenOptions::new().write(true).open(share.path("file"));
    flock(
        file.expect("the file"),
        FlockOperation::NonBlockingLockExclusive,
    )
    .is_ok()
}

#[test]
fn a_guest_with_locks_is_not_moved_and_one_without_is() {
    let share = share_with_a_file();
    let (mut case, node, handle) = opened(&share);
    assert_eq!(set(&mut case, node, handle, libc::F_WRLCK), 0);
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    let (save, stopped) = (
        VhostTransferStateDirection::SAVE,
        VhostTransferStatePhase::STOPPED,
    );
    let frontend = &case.front_end.frontend;
    let refused = frontend.set_device_state_fd(save, stopped, writer.into());
    refused.expect_err("the lock would be lost");
    assert_eq!(set(&mut case, node, handle, libc::F_UNLCK), 0);
    case.save();
    case.end();
}

#[test]
fn a_reset_of_the_device_and_the_end_give_all_back() {
    let share = share_with_a_file();
    let (mut case, node, handle) = opened(&share);
    assert_eq!(set(&mut case, node, handle, libc::F_WRLCK), 0);
    assert!(!is_free(&share));
    case.front_end.stop_queue();
    case.front_end.reset();
    wait_until("the reset to give the lock back", || is_free(&share));
    case.end();
    let (mut case, node, handle) = opened(&share);
    assert_eq!(set(&mut case, node, handle, libc::F_WRLCK), 0);
    assert!(!is_free(&share));
    case.end();
    // A thread of its own closes the files.
    wait_until("the end to give the lock back", || is_free(&share));
}

/// A VM that is paused while a request waits goes on with it.
#[test]
fn a_ring_stops_under_a_wait_and_the_request_is_answered_afterwards() {
    let share = share_with_a_file();
    let (mut case, node, handle) = opened(&share);
    let holder = OpenOptions::new()
        .write(true)
        .open(share.path("file"))
        .expect("the file");
    flock(&holder, FlockOperation::LockExclusive).expect("a free lock");
    let waits = flocking(Operation::Setlkw, node, handle, libc::F_WRLCK);
    let (_, reply_at) = case.front_end.offer(&waits, ROOM);
    // Any other request is answered while it waits.
    while set(&mut case, node, handle, libc::F_RDLCK) != libc::EAGAIN {}
    let base = case.front_end.stop_queue();
    drop(holder);
    case.exchange_much();
    assert!(
        !case.front_end.driver.has_used(),
        "an answer on a stopped ring"
    );
    case.front_end.start_queue(base);
    case.front_end.wait_for_reply();
    let reply = case.front_end.driver.read(reply_at, ROOM);
    assert_eq!(fuse::errno(&reply), 0);
    assert!(!is_free(&share), "the guest has the lock");
    case.end();
}
