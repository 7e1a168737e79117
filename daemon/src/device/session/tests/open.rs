// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file whose open takes as long as the test likes.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use shared_window::{Access, DirectViews, RegionBudget, ViewError, ViewSource};
use vhost::VhostUserMemoryRegionInfo;
use vhost::vhost_user::VhostUserFrontend;
use virtiofs_driver::window::Gate;

use super::{Case, PAGE, SessionWindow, share_with_a_file, window_on};
use crate::fs::NodeId;
use crate::testing::fuse::{self, Operation};
use crate::testing::{MUST_HAPPEN, Share};

/// What tells the file that takes long from the other one.
const SLOW_SIZE: u64 = 2 * PAGE;

/// So many threads in the pool, and whether the front end answers when a mapping is in effect: then the
/// thread that has opened a file asks for the mapping as well.
const SETTINGS: [(usize, bool); 4] = [(0, false), (2, false), (0, true), (2, true)];

/// Holds the open of one file until that is released.
#[derive(Clone, Default)]
struct SlowViews(Gate);

impl SlowViews {
    fn wait_until_reached(&self) {
        let reached = self.0.wait_until_reached(MUST_HAPPEN);
        assert!(reached, "waited {MUST_HAPPEN:?} for an open");
    }

    fn release(&self) {
        self.0.open();
    }
}

impl ViewSource for SlowViews {
    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
        let opened = DirectViews.open(file, access)?;
        let opened = File::from(opened);
        if opened.metadata().expect("metadata").len() == SLOW_SIZE {
            self.0.pass(None);
        }
        Ok(opened.into())
    }
}

/// A mounted share, the slow file and the other one.
fn case(threads: usize) -> (Case, SlowViews, [u64; 2]) {
    let views = SlowViews::default();
    let (case, nodes) = case_with(threads, window_on(views.clone()));
    (case, views, nodes)
}

fn case_with(threads: usize, window: SessionWindow<SlowViews>) -> (Case, [u64; 2]) {
    let share: Rc<Share> = share_with_a_file();
    share.put("slow", &[2; SLOW_SIZE as usize], 0o644);
    let mut case = Case::on(share, threads, Some(window));
    // Such a guest is promised nothing, so no view is tried before it asks for one.
    case.front_end.ask(&fuse::init_without_inode_dax(), 256);
    let nodes =
        ["slow", "file"].map(|name| fuse::entry(&case.front_end.ask(&fuse::lookup(name), 256)).0);
    (case, nodes)
}

impl Case {
    /// Returns when so many requests have come back.
    fn wait_for_replies(&mut self, mut replies: usize) {
        while replies > 0 {
            self.front_end.wait_for_a_return();
            replies -= self.front_end.driver.used().len();
        }
    }

    fn errno_at(&self, reply_at: vm_memory::GuestAddress) -> i32 {
        fuse::errno(&self.front_end.driver.read(reply_at, 16))
    }
}

#[test]
fn an_open_that_hangs_holds_up_its_own_file_alone() {
    for (threads, after_effect) in SETTINGS {
        let (mut case, views, [slow, other]) = case(threads);
        if after_effect {
            case.answers_after_effect();
        }
        let setup = |node, page| fuse::setup_mapping(node, 0, PAGE, page * PAGE);
        let mut replies_at = Vec::new();
        for page in [0, 1] {
            replies_at.push(case.front_end.offer(&setup(slow, page), 16).1);
        }
        views.wait_until_reached();
        assert_eq!(fuse::errno(&case.front_end.ask(&setup(other, 2), 16)), 0);
        assert_eq!(case.front_end.mapped(), [2 * PAGE]);
        views.release();
        case.wait_for_replies(2);
        for at in replies_at {
            assert_eq!(case.errno_at(at), 0);
        }
        // Threads of a pool may pass each other.
        let mut mapped = case.front_end.mapped();
        mapped.sort_unstable();
        assert_eq!(mapped, [0, PAGE, 2 * PAGE]);
        case.end();
    }
}

#[test]
fn what_is_opened_too_late_is_neither_mapped_nor_kept() {
    for (threads, after_effect) in SETTINGS {
        let (mut case, views, [slow, _]) = case(threads);
        if after_effect {
            case.answers_after_effect();
        }
        let setup = fuse::setup_mapping(slow, 0, PAGE, 0);
        let (_, reply_at) = case.front_end.offer(&setup, 16);
        views.wait_until_reached();
        let destroy = fuse::request(Operation::Destroy, 0, &[]);
        assert_eq!(fuse::errno(&case.front_end.ask(&destroy, 16)), 0);
        case.front_end.ask(&fuse::init_without_inode_dax(), 256);
        views.release();
        case.wait_for_replies(1);
        assert_eq!(case.errno_at(reply_at), libc::EIO);
        assert_eq!(case.front_end.mapped(), [0; 0]);
        assert!(!case.look.keeps_view(NodeId(slow)));
        case.end();
    }
}

/// A region of a file of its own.
fn region(file: &File, nth: u64) -> VhostUserMemoryRegionInfo {
    VhostUserMemoryRegionInfo {
        guest_phys_addr: (1 + nth) << 30,
        memory_size: PAGE,
        userspace_addr: 0x7100_0000_0000 + nth * PAGE,
        mmap_offset: 0,
        mmap_handle: file.as_raw_fd(),
    }
}

/// A guest that waits could otherwise use up the daemon's descriptors.
#[test]
fn regions_that_requests_hold_count_although_they_are_gone() {
    for threads in [0, 2] {
        const HELD: u64 = 3;
        let views = SlowViews::default();
        let window = SessionWindow {
            // The guest's memory, and those.
            budget: RegionBudget::new(1 + HELD as usize),
            ..window_on(views.clone())
        };
        let (mut case, [slow, other]) = case_with(threads, window);
        let setup = |node, page| fuse::setup_mapping(node, 0, PAGE, page * PAGE);
        let taken = case.metrics.requests[1].get();
        for nth in 0..HELD {
            let file = tempfile::tempfile().expect("a file");
            file.set_len(PAGE).expect("room");
            let region = region(&file, nth);
            let frontend = &mut case.front_end.frontend;
            frontend.add_mem_region(&region).expect("ADD_MEM_REG");
            case.front_end.offer(&setup(slow, nth), 16);
            case.wait_for("the request to be taken", |metrics| {
                metrics.requests[1].get() == taken + nth + 1
            });
            let frontend = &mut case.front_end.frontend;
            frontend.remove_mem_region(&region).expect("REM_MEM_REG");
        }
        let refused = fuse::errno(&case.front_end.ask(&setup(other, 10), 16));
        assert_eq!(refused, libc::ENOBUFS);
        views.release();
        case.wait_for_replies(HELD as usize);
        let again = fuse::errno(&case.front_end.ask(&setup(other, 10), 16));
        assert_eq!(again, 0, "nothing holds them any more");
        case.end();
    }
}

#[test]
fn a_session_ends_while_an_open_hangs() {
    for threads in [0, 2] {
        let (mut case, views, [slow, _]) = case(threads);
        case.front_end
            .offer(&fuse::setup_mapping(slow, 0, PAGE, 0), 16);
        views.wait_until_reached();
        case.end();
        views.release();
    }
}
