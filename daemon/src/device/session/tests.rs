// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A whole session over a socket, with a front end that behaves as QEMU does.

use std::io::{PipeReader, Read};
use std::num::NonZeroU16;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpSyscall};
use shared_window::{DirectViews, RegionBudget, ViewSource, WindowOptions, WindowSize};
use tempfile::TempDir;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserConfigFlags,
    VhostUserProtocolFeatures,
};
use vhost::vhost_user::{Listener, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
use virtiofsd::passthrough::PassthroughFs;

use super::{Session, SessionError, SessionOptions, SessionWindow};
use crate::config::{DaxMode, DaxPolicy, DeviceConfig, LockScope};
use crate::metrics::{Metrics, SnapshotSource};
use crate::ring::threads::QueueThreads;
use crate::testing::fuse::{self, Operation};
use crate::testing::{FrontEnd, Held, MUST_HAPPEN, Share, USED, expect, in_background};

mod failure;
mod locks;
mod open;
mod pool;

const WINDOW: u64 = shared_window::LINUX_RANGE;
const PAGE: u64 = 4096;
/// Exchanges on the control channel that give what must not come the time to come.
const ROUND_TRIPS: usize = 1000;

/// A session that serves a share with one file, and its front end.
struct Case {
    share: Rc<Share>,
    front_end: FrontEnd,
    metrics: Arc<Metrics>,
    look: Arc<dyn SnapshotSource>,
    ended: Receiver<Result<(), SessionError>>,
    _socket: TempDir,
}

fn share_with_a_file() -> Rc<Share> {
    let share = Rc::new(Share::new());
    share.put("file", &[1; PAGE as usize], 0o644);
    share
}

fn window() -> SessionWindow<DirectViews> {
    window_on(DirectViews)
}

fn window_on<S: ViewSource>(views: S) -> SessionWindow<S> {
    SessionWindow {
        size: WindowSize::new(WINDOW).expect("a power of two"),
        views,
        budget: RegionBudget::default(),
        options: WindowOptions::default(),
        policy: DaxPolicy {
            mode: DaxMode::Always,
            min_size: 0,
        },
        keep_views: true,
        plain: false,
    }
}

impl Case {
    fn new(thread_pool_size: usize) -> Self {
        Self::on(share_with_a_file(), thread_pool_size, Some(window()))
    }

    fn on<S: ViewSource + Clone + 'static>(
        share: Rc<Share>,
        thread_pool_size: usize,
        window: Option<SessionWindow<S>>,
    ) -> Self {
        Self::connected(share, thread_pool_size, window, FrontEnd::start)
    }

    fn connected<S: ViewSource + Clone + 'static>(
        share: Rc<Share>,
        thread_pool_size: usize,
        window: Option<SessionWindow<S>>,
        connect: fn(&Path) -> FrontEnd,
    ) -> Self {
        Self::locking(share, thread_pool_size, window, connect, LockScope::Guest)
    }

    fn locking<S: ViewSource + Clone + 'static>(
        share: Rc<Share>,
        thread_pool_size: usize,
        window: Option<SessionWindow<S>>,
        connect: fn(&Path) -> FrontEnd,
        locks: LockScope,
    ) -> Self {
        let config = virtiofsd::passthrough::Config {
            root_dir: share.path("").to_str().expect("UTF-8").to_owned(),
            ..virtiofsd::passthrough::Config::default()
        };
        let fs = PassthroughFs::new(config).expect("a file system");
        let options = SessionOptions {
            device: DeviceConfig {
                tag: Some("share".to_owned()),
                request_queues: NonZeroU16::MIN,
                thread_pool_size,
                poll: Duration::ZERO,
                mem_slots: true,
                locks,
            },
            observer: None,
            keep_files: true,
        };
        let session = Session::new(fs, options, window).expect("a session");
        let (metrics, look) = (session.metrics(), session.snapshot_source());
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("socket");
        let listener = Listener::new(&socket, true).expect("a socket");
        let ended = in_background(move || session.run(listener));
        Self {
            share,
            front_end: connect(&socket),
            metrics,
            look,
            ended,
            _socket: dir,
        }
    }

    fn mount(&mut self) -> u64 {
        let reply = self.front_end.ask(&fuse::init(0), 256);
        assert_eq!(fuse::errno(&reply), 0);
        fuse::entry(&self.front_end.ask(&fuse::lookup("file"), 256)).0
    }

    fn map(&mut self, node: u64) {
        let setup = fuse::setup_mapping(node, 0, PAGE, 0);
        assert_eq!(fuse::errno(&self.front_end.ask(&setup, 16)), 0);
    }

    /// Keeps the control thread busy for a while.
    fn exchange_much(&self) {
        for _ in 0..ROUND_TRIPS {
            let answered = self.front_end.frontend.get_features();
            answered.expect("GET_FEATURES");
        }
    }

    /// The front end goes; the session must end well.
    fn end(self) {
        let Self {
            front_end, ended, ..
        } = self;
        drop(front_end);
        expect(&ended, "the session to end").expect("an orderly end");
    }
}

#[test]
fn the_device_describes_itself() {
    let mut case = Case::new(0);
    let frontend = &mut case.front_end.frontend;
    let (_, config) = frontend
        .get_config(0, 40, VhostUserConfigFlags::empty(), &[0; 40])
        .expect("GET_CONFIG");
    assert_eq!(&config[..6], b"share\0");
    assert_eq!(config[36..], [1, 0, 0, 0]);
    let memory = frontend.get_shmem_config().expect("GET_SHMEM_CONFIG");
    assert_eq!((memory.nregions, memory.memory_sizes[0]), (1, WINDOW));
    assert_eq!(frontend.get_queue_num().expect("GET_QUEUE_NUM"), 2);
    let features = frontend.get_protocol_features().expect("features");
    assert!(features.contains(VhostUserProtocolFeatures::SHMEM));
    case.end();
}

#[test]
fn requests_are_served_with_and_without_a_pool() {
    for threads in [0, 3] {
        let mut case = Case::new(threads);
        let node = case.mount();
        case.map(node);
        assert_eq!(case.front_end.mapped(), [0]);
        let remove = fuse::remove_mapping(1, &[(0, PAGE)]);
        assert_eq!(fuse::errno(&case.front_end.ask(&remove, 16)), 0);
        assert!(case.front_end.mapped().is_empty());
        assert!(case.share.path("file").exists());
        case.end();
    }
}

/// For this thread, which has to be a test's alone, and those that it starts.
fn forbid_unshare() {
    let forbid = || {
        let mut filter = ScmpFilterContext::new_filter(ScmpAction::Allow)?;
        let unshare = ScmpSyscall::from_name("unshare")?;
        filter.add_rule(ScmpAction::Errno(libc::EPERM), unshare)?;
        filter.load()
    };
    forbid().expect("a filter");
}

#[test]
fn a_container_that_forbids_unshare_can_have_one_request_queue() {
    forbid_unshare();
    let mut case = Case::new(0);
    case.mount();
    case.end();
    for (request_queues, pool_size) in [(2, 0), (1, 2)] {
        assert!(
            QueueThreads::new(request_queues, pool_size).is_err(),
            "{request_queues} queues and a pool of {pool_size} would share one umask"
        );
    }
}

#[test]
fn the_queue_can_be_stopped_while_the_front_end_withholds_an_answer() {
    for threads in [0, 2] {
        let mut case = Case::new(threads);
        let node = case.mount();
        case.front_end.hold(Held::Mappings);
        let (_, reply_at) = case
            .front_end
            .offer(&fuse::setup_mapping(node, 0, PAGE, 0), 16);
        case.front_end.wait_for_a_call();

        let base = case.front_end.stop_queue();
        case.front_end.release();
        assert!(
            case.front_end.driver.used().is_empty(),
            "replied on a stopped queue"
        );

        case.front_end.start_queue(base);
        case.front_end.wait_for_reply();
        assert_eq!(fuse::errno(&case.front_end.driver.read(reply_at, 16)), 0);
        assert_eq!(case.front_end.mapped(), [0]);
        case.end();
    }
}

/// QEMU acknowledges a mapping before it makes it.
#[test]
fn a_mapping_is_answered_to_the_guest_only_when_it_is_in_effect() {
    for threads in [0, 2] {
        let mut case = Case::new(threads);
        let node = case.mount();
        // The first mapping is preceded by a fence of its own.
        case.map(node);
        case.front_end.hold(Held::Fences);
        let setup = fuse::setup_mapping(node, 0, PAGE, PAGE);
        let (_, reply_at) = case.front_end.offer(&setup, 16);
        case.front_end.wait_for_a_call();
        assert_eq!(case.front_end.mapped(), [0, PAGE], "not acknowledged");
        case.exchange_much();
        assert!(
            case.front_end.driver.used().is_empty(),
            "replied before the mapping was known to be in effect"
        );

        case.front_end.release();
        case.front_end.wait_for_reply();
        assert_eq!(fuse::errno(&case.front_end.driver.read(reply_at, 16)), 0);
        case.end();
    }
}

/// One queue, and with or without a pool.
#[test]
fn other_requests_do_not_wait_for_a_mapping() {
    for (threads, held) in [0, 1].into_iter().zip([Held::Mappings, Held::Fences]) {
        let mut case = Case::new(threads);
        let node = case.mount();
        case.map(node);
        case.front_end.hold(held);
        let mut replies_at = Vec::new();
        // More of them than there are threads.
        for page in 1..4 {
            let setup = fuse::setup_mapping(node, 0, PAGE, page * PAGE);
            replies_at.push(case.front_end.offer(&setup, 16).1);
        }
        case.front_end.wait_for_a_call();
        let getattr = fuse::request(Operation::Getattr, node, &[0; 16]);
        assert_eq!(fuse::errno(&case.front_end.ask(&getattr, 256)), 0);
        case.front_end.release();
        let mut returned = 0;
        while returned < replies_at.len() {
            case.front_end.wait_for_a_return();
            returned += case.front_end.driver.used().len();
        }
        for at in replies_at {
            assert_eq!(fuse::errno(&case.front_end.driver.read(at, 16)), 0);
        }
        assert_eq!(case.front_end.mapped().len(), 4);
        case.end();
    }
}

#[test]
fn no_window_message_is_sent_while_the_queue_is_stopped() {
    let mut case = Case::new(0);
    let node = case.mount();
    for page in 0..3 {
        let setup = fuse::setup_mapping(node, 0, PAGE, page * PAGE);
        assert_eq!(fuse::errno(&case.front_end.ask(&setup, 16)), 0);
    }
    case.front_end.hold(Held::Mappings);
    let destroy = fuse::request(Operation::Destroy, 0, &[]);
    case.front_end.offer(&destroy, 16);
    case.front_end.wait_for_a_call();
    let base = case.front_end.stop_queue();
    case.front_end.release();
    case.exchange_much();
    assert_eq!(case.front_end.messages_while_stopped(), 0);

    case.front_end.start_queue(base);
    case.front_end.wait_for_reply();
    assert!(case.front_end.mapped().is_empty());
    case.end();
}

#[test]
fn a_reset_is_answered_at_once_and_the_next_request_finds_the_window_empty() {
    let mut case = Case::new(0);
    let node = case.mount();
    case.map(node);
    case.front_end.reset();
    assert_eq!(
        case.front_end.mapped(),
        [0],
        "asked a front end that was resetting"
    );
    case.front_end.start_queue(case.front_end.driver.offered());
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    case.front_end.ask(&getattr, 256);
    assert!(case.front_end.mapped().is_empty());
    assert_eq!(case.metrics.clears.get(), 2, "INIT and the reset");
    case.end();
}

#[test]
fn a_session_ends_with_its_front_end_whatever_is_in_flight() {
    let mut case = Case::new(0);
    let node = case.mount();
    case.front_end.hold(Held::Mappings);
    case.front_end
        .offer(&fuse::setup_mapping(node, 0, PAGE, 0), 16);
    case.front_end.wait_for_a_call();
    case.front_end.stop_queue();
    case.front_end.release();
    case.end();
}

#[test]
fn a_session_ends_although_its_front_end_keeps_the_back_end_channel() {
    for threads in [0, 2] {
        let mut case = Case::new(threads);
        let node = case.mount();
        case.front_end.hold(Held::Mappings);
        case.front_end
            .offer(&fuse::setup_mapping(node, 0, PAGE, 0), 16);
        case.front_end.wait_for_a_call();
        case.end();
    }
}

#[test]
fn a_memory_region_that_is_removed_is_let_go_at_once() {
    let mut case = Case::new(0);
    case.mount();
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len(PAGE).expect("room in the file");
    let path = file.path().to_str().expect("UTF-8");
    let is_mapped = || {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
        maps.contains(path)
    };
    let region = VhostUserMemoryRegionInfo {
        guest_phys_addr: 1 << 30,
        memory_size: PAGE,
        userspace_addr: 0x7100_0000_0000,
        mmap_offset: 0,
        mmap_handle: file.as_file().as_raw_fd(),
    };
    let frontend = &mut case.front_end.frontend;
    frontend.add_mem_region(&region).expect("ADD_MEM_REG");
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    case.front_end.ask(&getattr, 256);
    assert!(is_mapped());
    let frontend = &mut case.front_end.frontend;
    frontend.remove_mem_region(&region).expect("REM_MEM_REG");
    // The thread of the queue may be about to find that there is no other request.
    let deadline = Instant::now() + MUST_HAPPEN;
    while is_mapped() {
        assert!(
            Instant::now() < deadline,
            "waited {MUST_HAPPEN:?} for a removed region to be unmapped"
        );
        std::thread::yield_now();
    }
    case.end();
}

/// A share without a window, which can be migrated.
fn migratable(share: &Rc<Share>) -> Case {
    Case::on(Rc::clone(share), 0, None::<SessionWindow<DirectViews>>)
}

#[test]
fn a_migration_is_told_which_pages_were_written() {
    let mut case = migratable(&Rc::new(Share::new()));
    assert_eq!(fuse::errno(&case.front_end.ask(&fuse::init(0), 256)), 0);
    let log = case.front_end.start_log();
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    let dirty = |page: u64| {
        let mut byte = [0];
        log.read_exact_at(&mut byte, page / 8).expect("the log");
        byte[0] & 1 << (page % 8) != 0
    };
    // Two pages of room, far from anything else.
    let (_, reply_at) = case.front_end.offer(&getattr, 2 * PAGE as u32);
    let first = reply_at.0 / PAGE;
    assert!(!dirty(first + 3), "a page that was not written");
    case.front_end.wait_for_reply();
    assert!(dirty(first) && dirty(first + 1), "the reply's room");
    assert!(dirty(USED / PAGE), "the used ring");
    assert!(!dirty(first + 3), "a page that was not written");
    case.end();
}

#[test]
fn the_state_of_a_share_moves_to_another_session() {
    let share = Rc::new(Share::new());
    share.put("file", &[1; PAGE as usize], 0o644);
    let mut source = migratable(&share);
    let node = source.mount();
    let state = source.save();
    source.end();

    let mut destination = migratable(&share);
    destination.load(&state);
    let getattr = fuse::request(Operation::Getattr, node, &[0; 16]);
    let reply = destination.front_end.ask(&getattr, 256);
    assert_eq!(fuse::errno(&reply), 0, "the node is known without a lookup");
    destination.end();
}

#[test]
fn a_guest_with_a_window_is_not_moved() {
    let case = Case::new(0);
    let (_reader, writer) = std::io::pipe().expect("a pipe");
    let stopped = VhostTransferStatePhase::STOPPED;
    let frontend = &case.front_end.frontend;
    frontend
        .set_device_state_fd(VhostTransferStateDirection::SAVE, stopped, writer.into())
        .expect_err("a refusal");
    case.end();
}

/// To QEMU's vhost-user-fs the daemon is what virtiofsd is, whatever window it was given.
#[test]
fn a_guest_that_took_no_window_is_moved_and_promised_nothing() {
    let connect = FrontEnd::start_without_window;
    let mut case = Case::connected(share_with_a_file(), 0, Some(window()), connect);
    let reply = case.front_end.ask(&fuse::init(0), 256);
    assert!(!fuse::InitReply::parse(&reply).inode_dax);
    let (_, promised) = fuse::entry(&case.front_end.ask(&fuse::lookup("file"), 256));
    assert!(!promised, "a promise without a window");
    case.save();
    case.end();
}

/// crosvm maps files and has no shared objects: it ends at a request that it does not know.
#[test]
fn a_vmm_without_shared_objects_gets_no_window_and_no_unknown_request() {
    let connect = FrontEnd::start_without_shared_objects;
    let mut case = Case::connected(share_with_a_file(), 0, Some(window()), connect);
    let reply = case.front_end.ask(&fuse::init(0), 256);
    assert!(!fuse::InitReply::parse(&reply).inode_dax);
    let (node, promised) = fuse::entry(&case.front_end.ask(&fuse::lookup("file"), 256));
    assert!(!promised, "a promise that no mapping can keep");
    // A guest that maps all the same is refused.
    let setup = fuse::setup_mapping(node, 0, PAGE, 0);
    assert_eq!(fuse::errno(&case.front_end.ask(&setup, 16)), libc::EIO);
    assert_eq!(
        (case.front_end.fences(), case.front_end.mapped().len()),
        (0, 0)
    );
    case.save();
    case.end();
}

impl Case {
    fn transfer(&mut self, direction: VhostTransferStateDirection, file: OwnedFd) {
        let refused = self
            .front_end
            .frontend
            .set_device_state_fd(direction, VhostTransferStatePhase::STOPPED, file)
            .expect("SET_DEVICE_STATE_FD");
        assert!(refused.is_none(), "another channel than ours");
    }

    fn save(&mut self) -> Vec<u8> {
        let (mut reader, writer): (PipeReader, _) = std::io::pipe().expect("a pipe");
        self.transfer(VhostTransferStateDirection::SAVE, writer.into());
        let mut state = Vec::new();
        reader.read_to_end(&mut state).expect("the state");
        self.front_end.frontend.check_device_state().expect("saved");
        assert!(!state.is_empty());
        state
    }

    fn load(&mut self, state: &[u8]) {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        self.transfer(VhostTransferStateDirection::LOAD, reader.into());
        std::io::Write::write_all(&mut writer, state).expect("room in the pipe");
        drop(writer);
        self.front_end
            .frontend
            .check_device_state()
            .expect("loaded");
    }
}
