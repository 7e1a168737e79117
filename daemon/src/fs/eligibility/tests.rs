// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which files of a real directory are promised, and what is asked for each answer.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::Instant;

use rustix::thread::{CapabilitySet, CapabilitySets};
use shared_window::{Access, DirectViews, ViewError, ViewSource};
use virtiofsd::filesystem::FileSystem;

use super::{DaxEligibility, Moment, SURE};
use crate::config::{DaxMode, DaxPolicy};
use crate::fs::NodeId;
use crate::testing::{MUST_HAPPEN, Share};

/// Views of the files themselves, counted, and refused on request.
#[derive(Default)]
struct Views {
    opened: AtomicUsize,
    refuse: AtomicBool,
    /// An errno that every view fails with; 0 for none.
    fail: AtomicI32,
}

impl ViewSource for Views {
    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        if self.refuse.load(Ordering::Relaxed) {
            return Err(ViewError::Unsupported(io::Error::from_raw_os_error(
                libc::EOPNOTSUPP,
            )));
        }
        match self.fail.load(Ordering::Relaxed) {
            0 => DirectViews.open(file, access),
            errno => Err(ViewError::System {
                what: "open a view",
                source: io::Error::from_raw_os_error(errno),
            }),
        }
    }
}

struct Case {
    share: Share,
    views: Arc<Views>,
    eligibility: DaxEligibility<Arc<Views>>,
}

impl Case {
    fn new(mode: DaxMode) -> Self {
        let views = Arc::new(Views::default());
        let policy = DaxPolicy {
            mode,
            min_size: 4096,
        };
        let case = Self {
            share: Share::new(),
            eligibility: DaxEligibility::new(policy, Arc::clone(&views)),
            views,
        };
        case.share.init();
        case
    }

    fn covers(&self, name: &str) -> bool {
        let entry = self.share.look_up(name);
        self.eligibility.cover(
            &*self.share.fs,
            Share::context(),
            NodeId(entry.inode),
            &entry.attr,
        )
    }

    fn views_opened(&self) -> usize {
        self.views.opened.load(Ordering::Relaxed)
    }
}

#[test]
fn the_policy_decides_by_size_and_type() {
    let table = [
        (DaxMode::Always, [true, true]),
        (DaxMode::Inode, [false, true]),
        (DaxMode::Never, [false, false]),
    ];
    for (mode, expected) in table {
        let case = Case::new(mode);
        case.share.put("small", &[1; 4095], 0o644);
        case.share.put("large", &[1; 4096], 0o644);
        fs::create_dir(case.share.path("dir")).expect("a directory");
        assert_eq!(
            ["small", "large"].map(|name| case.covers(name)),
            expected,
            "{mode:?}"
        );
        assert!(!case.covers("dir"), "{mode:?}");
    }
}

#[test]
fn one_view_proves_a_device_and_an_answer_is_remembered() {
    let case = Case::new(DaxMode::Inode);
    for name in ["a", "b", "c"] {
        case.share.put(name, &[1; 4096], 0o644);
        assert!(case.covers(name) && case.covers(name));
    }
    assert_eq!(case.views_opened(), 1);
}

#[test]
fn a_device_without_views_is_shared_without_dax() {
    let case = Case::new(DaxMode::Always);
    case.views.refuse.store(true, Ordering::Relaxed);
    case.share.put("a", &[1; 4096], 0o644);
    case.share.put("b", &[1; 4096], 0o644);
    assert!(!case.covers("a"));
    case.views.refuse.store(false, Ordering::Relaxed);
    assert!(!case.covers("b"), "half of a device would be a surprise");
    assert_eq!(case.views_opened(), 1);
}

#[test]
fn a_device_is_asked_about_again_after_a_failure_that_passes() {
    for errno in [libc::EMFILE, libc::ENOMEM, libc::EIO, libc::EINTR] {
        let case = Case::new(DaxMode::Inode);
        case.views.fail.store(errno, Ordering::Relaxed);
        case.share.put("a", &[1; 4096], 0o644);
        case.share.put("b", &[1; 4096], 0o644);
        assert!(!case.covers("a") && !case.covers("b"), "errno {errno}");
        assert_eq!(case.views_opened(), 1, "not at each question");
        case.views.fail.store(0, Ordering::Relaxed);
        let deadline = Instant::now() + MUST_HAPPEN;
        while !case.covers("a") {
            assert!(
                Instant::now() < deadline,
                "no promise {MUST_HAPPEN:?} after errno {errno} had passed"
            );
            std::thread::yield_now();
        }
        assert!(case.covers("b"));
        assert_eq!(case.views_opened(), 2);
    }
}

#[test]
fn a_file_that_becomes_a_program_is_no_longer_promised() {
    let case = Case::new(DaxMode::Inode);
    case.share.put("script", &[1; 4096], 0o644);
    assert!(case.covers("script"));
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(case.share.path("script"), executable).expect("chmod");
    assert!(!case.covers("script"));
}

#[test]
fn no_look_opens_a_file_for_writing() {
    for mode in [DaxMode::Inode, DaxMode::Always] {
        let case = Case::new(mode);
        for (name, permissions) in [("first", 0o644), ("second", 0o644), ("program", 0o755)] {
            case.share.put(name, &[1; 4096], permissions);
            let lease = Lease::on(&case.share.path(name));
            let promised = permissions == 0o644 || mode == DaxMode::Always;
            assert_eq!(case.covers(name), promised, "{name}, {mode:?}");
            assert!(lease.is_kept(), "{name} was opened for writing, {mode:?}");
        }
    }
}

#[test]
fn a_device_that_cannot_be_mapped_for_writing_is_found_out_by_the_first_mapping() {
    let case = Case::new(DaxMode::Inode);
    for name in ["a", "b"] {
        case.share.put(name, &[1; 4096], 0o644);
    }
    assert!(case.covers("a"));
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(case.share.path("a"))
        .expect("the file");
    // A socket has no mmap either.
    let (view, _) = UnixStream::pair().expect("a socket");
    let error = case.eligibility.prove_writing(file.as_fd(), view.as_fd());
    assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENODEV));
    assert!(!case.covers("b"), "it is on the same device");
}

#[test]
fn a_view_that_maps_proves_its_device_once() {
    let case = Case::new(DaxMode::Inode);
    case.share.put("a", &[1; 4096], 0o644);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(case.share.path("a"))
        .expect("the file");
    let prove = |view: BorrowedFd<'_>| case.eligibility.prove_writing(file.as_fd(), view);
    prove(file.as_fd()).expect("it can be mapped");
    let (socket, _) = UnixStream::pair().expect("a socket");
    prove(socket.as_fd()).expect("nothing is mapped again");
    assert!(case.covers("a"));
    assert_eq!(case.views_opened(), 0, "more is known than that");
}

#[test]
fn a_file_that_the_daemon_may_not_write_is_not_promised() {
    let held = rustix::thread::capabilities(None).expect("capget");
    let reduced = CapabilitySets {
        effective: held.effective - CapabilitySet::DAC_OVERRIDE,
        ..held
    };
    // Of this thread, which is this test's alone.
    rustix::thread::set_capabilities(None, reduced).expect("capset");
    let case = Case::new(DaxMode::Inode);
    case.share.put("ours", &[1; 4096], 0o644);
    case.share.put("theirs", &[1; 4096], 0o644);
    let protected = fs::Permissions::from_mode(0o444);
    fs::set_permissions(case.share.path("theirs"), protected).expect("chmod");
    assert!(case.covers("ours"), "the device is proven");
    assert!(!case.covers("theirs"));
}

#[test]
fn an_open_asks_unless_another_one_just_did() {
    let case = Case::new(DaxMode::Inode);
    case.share.put("file", &[1; 4096], 0o644);
    let node = NodeId(case.share.look_up("file").inode);
    let sure = || case.eligibility.is_sure_of(node);
    assert!(sure(), "nothing is promised");
    assert!(case.covers("file") && !sure(), "a look is no answer");
    let eligibility = &case.eligibility;
    let ask = |handle| eligibility.still_holds(&*case.share.fs, Share::context(), node, handle);
    let (handle, _) = (case.share.fs)
        .open(Share::context(), node.0, false, libc::O_RDONLY as u32)
        .expect("it opens");
    assert!(ask(handle.expect("a handle")));
    let at = Moment::now();
    assert!(eligibility.is_sure_at(node, at));
    assert!(!eligibility.is_sure_at(node, at + SURE), "for a while only");
    case.eligibility.forget_all();
    assert!(case.covers("file") && !sure(), "a new answer begins anew");
}

/// A lease that can be taken, and is kept, only while no process opens the file for writing.
struct Lease(fs::File);

impl Lease {
    fn on(path: &Path) -> Self {
        let file = fs::File::open(path).expect("the file");
        let lease = Self(file);
        let taken = lease.fcntl(libc::F_SETLEASE, libc::F_RDLCK);
        assert_eq!(taken, 0, "no lease to be had");
        lease
    }

    fn is_kept(&self) -> bool {
        self.fcntl(libc::F_GETLEASE, 0) == libc::F_RDLCK
    }

    fn fcntl(&self, command: i32, kind: i32) -> i32 {
        // SAFETY: fcntl with these commands takes an int and touches no memory of ours.
        unsafe { libc::fcntl(self.0.as_raw_fd(), command, kind) }
    }
}

#[test]
fn a_promise_is_taken_back_for_as_long_as_the_guest_may_know_the_node() {
    let case = Case::new(DaxMode::Inode);
    case.share.put("file", &[1; 4096], 0o644);
    assert!(case.covers("file"));
    let node = NodeId(case.share.look_up("file").inode);
    assert_eq!(case.eligibility.generation(node), 0);
    case.eligibility.revoke(node);
    // Linux forgets the inode of the old generation when it has that of the new one.
    case.eligibility.forget(node);
    assert!(!case.covers("file"));
    assert_eq!(case.eligibility.generation(node), 1);
    case.eligibility.begin_anew();
    assert!(case.covers("file"));
    assert_eq!(case.eligibility.generation(node), 0);
}

#[test]
fn a_guest_is_told_once_of_a_promise_that_was_taken_back() {
    let case = Case::new(DaxMode::Inode);
    let [opened, looked_up] = [NodeId(7), NodeId(8)];
    assert!(!case.eligibility.tell_of_broken(opened));
    case.eligibility.revoke(opened);
    case.eligibility.revoke(looked_up);
    assert!(case.eligibility.tell_of_broken(opened));
    assert!(!case.eligibility.tell_of_broken(opened), "it knows");
    case.eligibility.generation(looked_up);
    assert!(!case.eligibility.tell_of_broken(looked_up), "it knows");
}
