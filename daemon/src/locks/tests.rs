// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Two owners of a guest and a process of the host, on virtiofsd's file system.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use virtiofsd::filesystem::FileSystem;

use super::ask::{Ask, Scope};
use super::host::{self, OpenFor, Patience};
use super::range::{Kind, Range};
use super::setting::open;
use super::table::Table;
use super::{HostLocks, Outcome, Owner};
use crate::fs::NodeId;
use crate::testing::{Share, expect, expect_to_wait, wait_until};

/// More requests than this may not wait.
const MOST: usize = 8;

struct Case {
    share: Share,
    locks: Arc<HostLocks>,
    node: NodeId,
}

impl Case {
    fn new() -> Self {
        let share = Share::new();
        share.put("file", b"content", 0o644);
        share.init();
        let node = NodeId(share.look_up("file").inode);
        Self {
            share,
            locks: Arc::new(HostLocks::new(Arc::default())),
            node,
        }
    }

    fn handle(&self, flags: i32) -> u64 {
        let opened = (self.share.fs).open(Share::context(), self.node.0, false, flags as u32);
        opened.expect("an open").0.expect("a handle")
    }

    fn ask(&self, handle: u64, owner: u64, scope: Scope, kind: Option<Kind>) -> Ask {
        Ask {
            context: Share::context(),
            unique: owner,
            node: self.node,
            handle,
            owner: Owner(owner),
            scope,
            kind,
            pid: owner as u32,
            waits: false,
        }
    }

    fn set(&self, ask: &Ask) -> Result<(), i32> {
        match self.locks.set(&*self.share.fs, ask, MOST) {
            Ok(Outcome::Done) => Ok(()),
            Ok(Outcome::Waits(_)) => panic!("it waits"),
            Err(error) => Err(error.raw_os_error().expect("the kernel's")),
        }
    }

    /// Begins a wait.
    fn wait(&self, ask: &Ask) -> Result<Receiver<Result<(), Option<i32>>>, i32> {
        let ask = Ask {
            waits: true,
            ..*ask
        };
        match self.locks.set(&*self.share.fs, &ask, MOST) {
            Ok(Outcome::Done) => panic!("it did not wait"),
            Ok(Outcome::Waits(waiting)) => {
                let (sender, receiver) = mpsc::channel();
                waiting.run(&self.locks, ask, move |result| {
                    let result = result.map_err(|error| error.raw_os_error());
                    sender.send(result).expect("a receiver");
                });
                Ok(receiver)
            }
            Err(error) => Err(error.raw_os_error().expect("the kernel's")),
        }
    }

    /// A process of the host.
    fn host(&self) -> File {
        let path = self.share.path("file");
        let opened = File::options().read(true).write(true).open(path);
        opened.expect("the file")
    }

    fn idle(&self) {
        wait_until("all locks and waits to end", || self.locks.used() == 0);
    }
}

fn bytes(first: u64, last: u64) -> Scope {
    Scope::Bytes(Range::new(first, last).expect("a range"))
}

fn take(file: &File, first: u64, last: u64) -> io::Result<()> {
    let range = Range::new(first, last).expect("a range");
    host::set(file, range, Some(Kind::Write), Patience::None)
}

#[test]
fn a_descriptor_is_kept_as_long_as_a_lock() {
    let case = Case::new();
    let handle = case.handle(libc::O_RDWR);
    let write = case.ask(handle, 1, bytes(0, 9), Some(Kind::Write));
    case.set(&write).expect("a free range");
    assert_eq!(case.locks.used(), 1);
    take(&case.host(), 5, 5).expect_err("the guest has it");
    let part = case.ask(handle, 1, bytes(0, 4), None);
    case.set(&part).expect("an unlock");
    take(&case.host(), 0, 4).expect("it is free");
    take(&case.host(), 5, 5).expect_err("the guest has the rest");
    case.set(&Ask {
        kind: None,
        ..write
    })
    .expect("an unlock");
    assert_eq!(case.locks.used(), 0);
    take(&case.host(), 0, 99).expect("all is free");
}

#[test]
fn flush_drops_an_owner_and_release_drops_a_handle() {
    let case = Case::new();
    let handles = [case.handle(libc::O_RDWR), case.handle(libc::O_RDWR)];
    for (owner, handle) in (1..).zip(handles) {
        let scope = bytes(owner * 10, owner * 10 + 9);
        let ask = case.ask(handle, owner, scope, Some(Kind::Write));
        case.set(&ask).expect("a free range");
    }
    case.locks.flush(case.node, Owner(2));
    take(&case.host(), 20, 29).expect("it is free");
    take(&case.host(), 10, 10).expect_err("the other owner has it");
    case.locks.release(case.node, handles[1]);
    take(&case.host(), 10, 10).expect_err("the other handle has it");
    case.locks.release(case.node, handles[0]);
    take(&case.host(), 0, 99).expect("all is free");
    assert_eq!(case.locks.used(), 0);
}

/// One process has the file open for reading and for writing, and locks by both.
#[test]
fn an_owner_that_begins_by_reading_can_write_later() {
    let case = Case::new();
    let reading = case.handle(libc::O_RDONLY);
    let writing = case.handle(libc::O_WRONLY);
    let read = case.ask(reading, 1, bytes(0, 9), Some(Kind::Read));
    case.set(&read).expect("a free range");
    let by_the_wrong_one = Ask {
        kind: Some(Kind::Write),
        ..read
    };
    assert_eq!(case.set(&by_the_wrong_one), Err(libc::EBADF));
    let write = case.ask(writing, 1, bytes(5, 9), Some(Kind::Write));
    case.set(&write).expect("its own range");
    assert_eq!(case.locks.used(), 1, "one owner");
    take(&case.host(), 0, 0).expect_err("it is still locked for reading");
    let host = case.host();
    let shared = |at| {
        let byte = Range::new(at, at).expect("a range");
        host::set(&host, byte, Some(Kind::Read), Patience::None)
    };
    shared(0).expect("for reading only");
    shared(5).expect_err("for writing");
    drop(host);
    case.locks.flush(case.node, Owner(1));
    take(&case.host(), 0, 99).expect("all is free");
}

#[test]
fn the_guest_hears_which_of_its_processes_holds_a_lock() {
    let case = Case::new();
    let handle = case.handle(libc::O_RDWR);
    let held = case.ask(handle, 7, bytes(10, 19), Some(Kind::Write));
    case.set(&held).expect("a free range");
    let host = case.host();
    take(&host, 30, 39).expect("a free range");
    let find = |owner, first, last| {
        let ask = case.ask(handle, owner, bytes(first, last), Some(Kind::Read));
        let found = case.locks.find(&*case.share.fs, &ask).expect("an answer");
        found.map(|lock| (lock.range.first, lock.range.last, lock.pid))
    };
    for owner in [7, 8] {
        assert_eq!(find(owner, 35, 50), Some((30, 39, 0)));
        assert_eq!(find(owner, 0, 9), None);
    }
    assert_eq!(find(8, 0, 15), Some((10, 19, 7)));
    assert_eq!(find(7, 0, 15), None, "its own");
}

#[test]
fn a_wait_ends_with_the_lock() {
    let case = Case::new();
    for scope in [bytes(0, 9), Scope::File] {
        let handles = [case.handle(libc::O_RDWR), case.handle(libc::O_RDWR)];
        let first = case.ask(handles[0], 1, scope, Some(Kind::Write));
        let second = case.ask(handles[1], 2, scope, Some(Kind::Write));
        case.set(&first).expect("a free lock");
        assert_eq!(case.set(&second), Err(libc::EAGAIN));
        let waits = case.wait(&second).expect("a wait");
        expect_to_wait(&waits, "the other has it");
        case.set(&Ask {
            kind: None,
            ..first
        })
        .expect("an unlock");
        assert_eq!(expect(&waits, "the lock"), Ok(()));
        assert_eq!(case.set(&first), Err(libc::EAGAIN), "the second has it");
        case.set(&Ask {
            kind: None,
            ..second
        })
        .expect("an unlock");
        case.idle();
    }
}

#[test]
fn a_wait_ends_without_the_lock() {
    let case = Case::new();
    for scope in [bytes(0, 9), Scope::File] {
        for end in ["interrupt", "early", "release", "clear"] {
            let handles = [case.handle(libc::O_RDWR), case.handle(libc::O_RDWR)];
            let first = case.ask(handles[0], 1, scope, Some(Kind::Write));
            let second = case.ask(handles[1], 2, scope, Some(Kind::Write));
            case.set(&first).expect("a free lock");
            if end == "early" {
                case.locks.interrupt(second.unique);
                assert_eq!(case.wait(&second).err(), Some(libc::EINTR));
            } else {
                let waits = case.wait(&second).expect("a wait");
                match end {
                    "interrupt" => case.locks.interrupt(second.unique),
                    "release" => case.locks.release(case.node, handles[1]),
                    _ => case.locks.clear(),
                }
                let ended = expect(&waits, "the wait to end");
                assert_eq!(ended, Err(Some(libc::EINTR)), "{end}");
            }
            for handle in handles {
                case.locks.release(case.node, handle);
                let released = case.share.fs.release(
                    Share::context(),
                    case.node.0,
                    0,
                    handle,
                    false,
                    false,
                    None,
                );
                released.expect("a handle");
            }
            case.idle();
            take(&case.host(), 0, 99).expect("all is free");
        }
    }
}

#[test]
fn owners_that_would_wait_for_each_other_are_told() {
    let case = Case::new();
    let handle = case.handle(libc::O_RDWR);
    let ask = |owner, at| case.ask(handle, owner, bytes(at, at), Some(Kind::Write));
    for owner in 1..=3 {
        case.set(&ask(owner, owner)).expect("a free range");
    }
    let first = case.wait(&ask(1, 2)).expect("a wait");
    let second = case.wait(&ask(2, 3)).expect("a wait");
    for at in [1, 2] {
        assert_eq!(case.wait(&ask(3, at)).err(), Some(libc::EDEADLK));
    }
    case.locks.flush(case.node, Owner(3));
    assert_eq!(expect(&second, "the lock"), Ok(()));
    expect_to_wait(&first, "the second still has its own");
    case.locks.flush(case.node, Owner(2));
    assert_eq!(expect(&first, "the lock"), Ok(()));
    case.locks.clear();
    case.idle();
}

#[test]
fn no_guest_has_more_than_its_share() {
    let case = Case::new();
    let handle = case.handle(libc::O_RDWR);
    let ask = |owner, at| case.ask(handle, owner, bytes(at, at), Some(Kind::Write));
    case.set(&ask(0, 0)).expect("a free range");
    let waits: Vec<_> = (1..=MOST as u64)
        .map(|owner| case.wait(&ask(owner, 0)).expect("a wait"))
        .collect();
    assert_eq!(case.wait(&ask(100, 0)).err(), Some(libc::ENOLCK));
    case.locks.clear();
    for wait in waits {
        assert_eq!(expect(&wait, "the end"), Err(Some(libc::EINTR)));
    }
    case.idle();

    for at in 0.. {
        match case.set(&ask(1, 2 * at)) {
            Ok(()) => assert!(at < 10_000, "no limit"),
            Err(error) => {
                assert_eq!((error, at > 8000), (libc::ENOLCK, true));
                break;
            }
        }
    }
    // What makes no more of them goes on.
    let all = case.ask(handle, 1, Scope::Bytes(Range::FILE), None);
    case.set(&all).expect("an unlock");
    case.idle();
    case.set(&case.ask(handle, 1, Scope::Bytes(Range::FILE), Some(Kind::Write)))
        .expect("a free file");
    case.locks.clear();

    let mut table = Table::default();
    let open = || {
        let allowed = OpenFor {
            reading: true,
            writing: true,
        };
        open(&*case.share.fs, &ask(0, 0), allowed).expect("a descriptor")
    };
    let mut add = |owner| {
        let (file, open_for) = open();
        table.add(case.node, Owner(owner), handle, file, open_for)
    };
    (0..1024).for_each(|owner| add(owner).expect("room"));
    let full = add(1024).expect_err("no room");
    assert_eq!(full.raw_os_error(), Some(libc::ENOLCK));
}

/// A process that closes another descriptor of the file goes on waiting, as with a local file.
#[test]
fn flush_does_not_end_a_wait() {
    let case = Case::new();
    let handle = case.handle(libc::O_RDWR);
    let other = case.ask(handle, 1, bytes(5, 5), Some(Kind::Write));
    case.set(&other).expect("a free range");
    let own = case.ask(handle, 2, bytes(0, 0), Some(Kind::Write));
    case.set(&own).expect("a free range");
    let waits = case
        .wait(&Ask {
            scope: bytes(5, 5),
            ..own
        })
        .expect("a wait");
    case.locks.flush(case.node, Owner(2));
    take(&case.host(), 0, 0).expect("FLUSH has dropped it");
    expect_to_wait(&waits, "the first still has it");
    case.set(&Ask {
        kind: None,
        ..other
    })
    .expect("an unlock");
    assert_eq!(expect(&waits, "the lock"), Ok(()));
    take(&case.host(), 5, 5).expect_err("the second has it");
    case.locks.clear();
    case.idle();
}
