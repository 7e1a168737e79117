// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A session whose threads cannot go on ends: no queue stays unserved.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc;

use shared_window::{Access, DirectViews, ViewError, ViewSource};
use vhost::vhost_user::Listener;
use virtiofsd::passthrough::{Config, PassthroughFs};

use super::{Case, PAGE, forbid_unshare, share_with_a_file, window, window_on};
use crate::config::{DeviceConfig, LockScope};
use crate::device::{Session, SessionError, SessionOptions};
use crate::ring::threads::ThreadsError;
use crate::testing::fuse;
use crate::testing::{FrontEnd, expect, in_background};

type TestSession = Session<PassthroughFs, DirectViews>;

/// A bug on the window's side.
#[derive(Clone)]
struct BrokenViews;

impl ViewSource for BrokenViews {
    fn open(&self, _file: BorrowedFd<'_>, _access: Access) -> Result<OwnedFd, ViewError> {
        panic!("these views are broken");
    }
}

#[test]
fn a_panic_of_our_own_ends_the_session() {
    for threads in [0, 2] {
        let mut case = Case::on(share_with_a_file(), threads, Some(window_on(BrokenViews)));
        // Such a guest is promised nothing, so no view is tried before it asks for one.
        case.front_end.ask(&fuse::init_without_inode_dax(), 256);
        let node = fuse::entry(&case.front_end.ask(&fuse::lookup("file"), 256)).0;
        let setup = fuse::setup_mapping(node, 0, PAGE, 0);
        case.front_end.offer(&setup, fuse::OUT_HEADER);
        let ended = expect(&case.ended, "the session to end");
        let error = ended.expect_err("a panic").to_string();
        assert_eq!(
            error,
            "a thread that serves requests has panicked: these views are broken"
        );
    }
}

fn session(request_queues: u16, thread_pool_size: usize) -> Result<TestSession, SessionError> {
    let share = share_with_a_file();
    let config = Config {
        root_dir: share.path("").to_str().expect("UTF-8").to_owned(),
        ..Config::default()
    };
    let fs = PassthroughFs::new(config).expect("a file system");
    let options = SessionOptions {
        device: DeviceConfig {
            tag: None,
            request_queues: request_queues.try_into().expect("not 0"),
            thread_pool_size,
            poll: std::time::Duration::ZERO,
            mem_slots: true,
            locks: LockScope::Guest,
        },
        observer: None,
        keep_files: false,
    };
    Session::new(fs, options, Some(window()))
}

#[test]
fn a_queue_s_thread_that_gets_no_umask_ends_the_session() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("socket");
    let listener = Listener::new(&socket, true).expect("a socket");
    let ended = in_background(move || {
        let session = session(2, 0).expect("a session");
        forbid_unshare();
        session.run(listener)
    });
    // It loses its connection at some point of its start or later, and must not end it by itself.
    let (keep, kept) = mpsc::channel::<()>();
    in_background(move || {
        let mut front_end = FrontEnd::start(&socket);
        front_end.offer(&fuse::lookup("file"), 256);
        // An error tells that the test is over.
        kept.recv().ok();
    });
    let error = expect(&ended, "the session to end").expect_err("no umask");
    drop(keep);
    assert!(
        matches!(error, SessionError::Threads(ThreadsError::Unshare(_))),
        "{error}"
    );
}

#[test]
fn a_pool_s_thread_that_gets_no_umask_is_found_at_the_start() {
    // This thread has its own already, so it is not the one that fails.
    session(1, 1).expect("a session");
    forbid_unshare();
    let error = session(1, 2).err().expect("no umask");
    assert!(
        matches!(error, SessionError::Threads(ThreadsError::Unshare(_))),
        "{error}"
    );
}
