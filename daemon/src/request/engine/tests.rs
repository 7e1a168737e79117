// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests through a ring to virtiofsd's file system and a window in this process.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;

use proptest::prelude::*;
use shared_window::{DirectViews, RegionBudget, Window, WindowOffset, WindowSize};
use vhost_user_backend::VringT as _;
use virtiofsd::passthrough::PassthroughFs;

use super::Engine;
use crate::config::{DaxMode, DaxPolicy};
use crate::fs::catch_panic;
use crate::fs::{
    Dax, DaxEligibility, DaxFs, Losses, LostStores, NodeCache, WindowNegotiated, Written,
};
use crate::metrics::Metrics;
use crate::request::sigbus;
use crate::ring::Ring;
use crate::ring::poller::Poller;
use crate::ring::vring::Notify;
use crate::testing::fuse::{self, InitReply, Operation};
use crate::testing::{
    AVAIL, Descriptor, Driver, HeldVmm, MEMORY_SIZE, QUEUE_SIZE, Share, TABLE, expect,
    in_background,
};
use crate::window::address_space::AddressSpace;
use crate::window::operations::WindowSide;

pub(crate) const PAGE: u64 = 4096;
pub(crate) const WINDOW: u64 = 1 << 20;
/// Where the guest has put the window.
pub(crate) const WINDOW_BASE: u64 = 1 << 40;
const CONTENT: &[u8] = b"the content of the file";

type TestEngine = Engine<PassthroughFs, Arc<HeldVmm>, DirectViews>;

/// A guest, a device and a share with one file, which is mounted.
pub(crate) struct Case {
    pub(crate) share: Share,
    pub(crate) vmm: Arc<HeldVmm>,
    pub(crate) engine: Arc<TestEngine>,
    poller: Arc<Poller>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) driver: Driver,
    ring: Ring,
}

impl Case {
    pub(crate) fn new() -> Self {
        let mut case = Self::unmounted();
        assert_eq!(fuse::errno(&case.ask(&fuse::init(0), 256)), 0);
        case
    }

    pub(crate) fn unmounted() -> Self {
        catch_panic::install_hook();
        sigbus::install_handler();
        let share = Share::new();
        // Padded, because the window in this process is as strict about sizes as QEMU is, and its
        // files are not hidden behind views.
        let mut content = CONTENT.to_vec();
        content.resize(16 * PAGE as usize, 0);
        share.put("file", &content, 0o644);
        let size = WindowSize::new(WINDOW).expect("a power of two");
        let vmm = HeldVmm::new(size);
        let policy = DaxPolicy {
            mode: DaxMode::Always,
            min_size: 0,
        };
        let budget = Arc::new(RegionBudget::default());
        let window = Window::new(size, Arc::clone(&vmm), DirectViews, budget);
        let metrics = Arc::new(Metrics::new(1));
        let dax = Arc::new(Dax {
            eligibility: DaxEligibility::new(policy, DirectViews),
            views: NodeCache::new(8.try_into().expect("not 0")),
            losses: Losses::new(window.mapped_files()),
            written: Written::default(),
            kills_privileges: AtomicBool::default(),
            lost_stores: LostStores::new(None, Arc::clone(&metrics)),
            negotiated: WindowNegotiated::default(),
        });
        dax.negotiated.set();
        dax.negotiated.gain_channel();
        let space = AddressSpace::new(Some((size, window.live_ranges())), false);
        space.lies_at(WINDOW_BASE);
        let side = WindowSide::new(
            Arc::clone(&share.fs),
            Arc::clone(&dax),
            window,
            Arc::clone(&metrics),
        );
        let mut driver = Driver::new();
        let ring = driver.ring_at(65530);
        let engine = Engine::new(
            DaxFs::new(Arc::clone(&share.fs), Some(dax)),
            Some(side),
            Arc::clone(&metrics),
        )
        .with_space(Arc::new(space));
        let poller = Poller::new(driver.memory.clone(), Arc::clone(&metrics));
        Self {
            share,
            vmm,
            engine: Arc::new(engine),
            poller: Arc::new(poller),
            metrics,
            driver,
            ring,
        }
    }

    pub(crate) fn serve(&self) {
        serve(&self.engine, &self.poller, &self.ring);
    }

    fn serve_in_background(&self) -> Receiver<()> {
        let (engine, poller) = (Arc::clone(&self.engine), Arc::clone(&self.poller));
        let ring = self.ring.clone();
        in_background(move || serve(&engine, &poller, &ring))
    }

    /// Sends one request and returns its reply.
    pub(crate) fn ask(&mut self, request: &[u8], room: u32) -> Vec<u8> {
        let (head, reply_at) = self.driver.offer(request, room);
        self.serve();
        let used = self.driver.used();
        assert_eq!(used.len(), 1, "one request, one reply");
        assert_eq!(used[0].0, u32::from(head));
        self.driver.read(reply_at, used[0].1)
    }

    pub(crate) fn errno_of(&mut self, request: &[u8]) -> i32 {
        fuse::errno(&self.ask(request, fuse::OUT_HEADER))
    }

    pub(crate) fn node(&mut self) -> u64 {
        let (node, dax) = fuse::entry(&self.ask(&fuse::lookup("file"), 256));
        assert!(dax, "the file is promised");
        node
    }

    pub(crate) fn map_file(&mut self) -> u64 {
        let node = self.node();
        assert_eq!(self.errno_of(&fuse::setup_mapping(node, 0, PAGE, 0)), 0);
        node
    }

    fn seen_in_window(&self) -> Vec<u8> {
        let mut seen = vec![0; CONTENT.len()];
        let read = self.vmm.window.read(WindowOffset(0), &mut seen);
        read.expect("within the window");
        seen
    }

    fn live_mappings(&self) -> usize {
        self.vmm.window.mapped().len()
    }
}

fn serve(engine: &TestEngine, poller: &Poller, ring: &Ring) {
    let serve = |(), taken| engine.serve(ring, engine.parse(taken), Notify::Later);
    poller.drain(0, ring, || Some(()), serve);
}

#[test]
fn init_offers_what_dax_needs() {
    let mut case = Case::unmounted();
    let full = InitReply {
        big_writes: true,
        max_pages: Some(256),
        map_alignment: Some(12),
        inode_dax: true,
    };
    let reply = case.ask(&fuse::init(fuse::MAP_ALIGNMENT), 256);
    assert_eq!(InitReply::parse(&reply), full);
    let reply = case.ask(&fuse::init(0), 256);
    let not_offered = InitReply {
        map_alignment: None,
        ..full
    };
    assert_eq!(InitReply::parse(&reply), not_offered);
}

#[test]
fn files_are_named_only_to_a_guest_that_heeds_it() {
    let mut case = Case::unmounted();
    for (init, named) in [
        (fuse::init(0), true),
        (fuse::init_without_inode_dax(), false),
    ] {
        assert_eq!(fuse::errno(&case.ask(&init, 256)), 0);
        let (_, dax) = fuse::entry(&case.ask(&fuse::lookup("file"), 256));
        assert_eq!(dax, named);
    }
}

#[test]
fn a_mapping_shows_the_file_until_it_is_removed() {
    let mut case = Case::new();
    case.map_file();
    assert_eq!(case.seen_in_window(), CONTENT);
    assert_eq!(case.errno_of(&fuse::remove_mapping(1, &[(0, PAGE)])), 0);
    assert_eq!(case.live_mappings(), 0);
    assert_eq!(
        case.errno_of(&fuse::remove_mapping(1, &[(0, PAGE)])),
        libc::EINVAL
    );
}

#[test]
fn a_file_is_opened_once_while_it_is_held() {
    let mut case = Case::new();
    let node = case.map_file();
    for page in 1..5 {
        let setup = fuse::setup_mapping(node, 0, PAGE, page * PAGE);
        assert_eq!(case.errno_of(&setup), 0);
    }
    assert_eq!(case.metrics.files_opened.get(), 1);
    let forget = fuse::request(Operation::Forget, node, &1_u64.to_ne_bytes());
    assert!(case.ask(&forget, 0).is_empty());
    let node = case.node();
    assert_eq!(
        case.errno_of(&fuse::setup_mapping(node, 0, PAGE, 8 * PAGE)),
        0
    );
    assert_eq!(case.metrics.files_opened.get(), 2);
}

#[test]
fn init_destroy_and_reset_clear_the_window() {
    let mut case = Case::new();
    case.map_file();
    assert_eq!(fuse::errno(&case.ask(&fuse::init(0), 256)), 0);
    assert_eq!(case.live_mappings(), 0, "INIT");

    case.map_file();
    let destroy = fuse::request(Operation::Destroy, 0, &[]);
    assert!(case.ask(&destroy, fuse::OUT_HEADER).is_empty());
    assert_eq!(case.live_mappings(), 0, "DESTROY");

    assert_eq!(fuse::errno(&case.ask(&fuse::init(0), 256)), 0);
    case.map_file();
    case.engine.window().expect("a window").files().mark_stale();
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    case.ask(&getattr, 256);
    assert_eq!(case.live_mappings(), 0, "reset, seen by the next request");
}

#[test]
fn messages_about_the_window_are_checked() {
    let mut case = Case::new();
    let node = case.node();
    let short = fuse::request(Operation::SetupMapping, node, &[0; 39]);
    let table = [
        ("a short SETUPMAPPING", short, libc::EINVAL),
        (
            "outside the window",
            fuse::setup_mapping(node, 0, PAGE, WINDOW),
            libc::EINVAL,
        ),
        (
            "no file has this offset",
            fuse::setup_mapping(node, u64::MAX - 4095, PAGE, 0),
            libc::EINVAL,
        ),
        (
            "misaligned",
            fuse::setup_mapping(node, 1, PAGE, 0),
            libc::EINVAL,
        ),
        ("empty", fuse::setup_mapping(node, 0, 0, 0), libc::EINVAL),
        (
            "a directory",
            fuse::setup_mapping(fuse::ROOT, 0, PAGE, 0),
            libc::EACCES,
        ),
        (
            "no such node",
            fuse::setup_mapping(999, 0, PAGE, 0),
            libc::EACCES,
        ),
        (
            "more ranges than are there",
            fuse::remove_mapping(2, &[(0, PAGE)]),
            libc::EINVAL,
        ),
        (
            "far too many ranges",
            fuse::remove_mapping(u32::MAX, &[(0, PAGE)]),
            libc::EINVAL,
        ),
        ("no range", fuse::remove_mapping(0, &[]), 0),
    ];
    for (what, request, errno) in table {
        assert_eq!(case.errno_of(&request), errno, "{what}");
        assert_eq!(case.live_mappings(), 0, "{what}");
    }
}

#[test]
fn a_panic_of_the_server_ends_one_request() {
    let mut case = Case::new();
    let node = case.node();
    let opened = case.ask(&fuse::request(Operation::Open, node, &[0; 8]), 256);
    let handle = &opened[16..24];
    let mut read = handle.to_vec();
    read.extend([0; 32]);
    let reply = case.ask(&fuse::request(Operation::Read, node, &read), 8);
    assert!(reply.is_empty(), "there is no room for an error");
    assert_eq!(
        case.metrics.panics.get(),
        1,
        "or virtiofsd no longer panics here"
    );
    case.node();
}

#[test]
fn a_ring_can_be_stopped_while_a_mapping_waits_for_the_vmm() {
    let mut case = Case::new();
    let node = case.node();
    case.vmm.hold();
    let (_, reply_at) = case
        .driver
        .offer(&fuse::setup_mapping(node, 0, PAGE, 0), 16);
    let served = case.serve_in_background();
    case.vmm.wait_for_a_call();

    // What the control thread does for GET_VRING_BASE. It must not wait for the VMM.
    let ring = case.ring.clone();
    let base = expect(
        &in_background(move || Driver::stop(&ring)),
        "GET_VRING_BASE",
    );
    case.vmm.release();
    assert!(case.driver.used().is_empty(), "replied on a stopped ring");
    assert_eq!(
        case.driver.read(reply_at, 16),
        [0; 16],
        "wrote a reply for a stopped ring"
    );

    // The VM goes on, and so does the request.
    case.driver.start(&case.ring, base);
    expect(&served, "the request to complete");
    assert_eq!(case.driver.used().len(), 1);
    assert_eq!(fuse::errno(&case.driver.read(reply_at, 16)), 0);
    assert_eq!(case.seen_in_window(), CONTENT);
}

#[test]
fn a_request_of_a_driver_that_is_gone_is_forgotten() {
    let mut case = Case::new();
    let node = case.node();
    case.vmm.hold();
    let (_, reply_at) = case
        .driver
        .offer(&fuse::setup_mapping(node, 0, PAGE, 0), 16);
    let served = case.serve_in_background();
    case.vmm.wait_for_a_call();
    let ring = case.ring.clone();
    expect(
        &in_background(move || Driver::stop(&ring)),
        "GET_VRING_BASE",
    );
    case.driver.reload(&case.ring);
    case.vmm.release();
    expect(&served, "the request to be given up");
    assert_eq!(case.metrics.abandoned.get(), 1);
    assert!(case.driver.used().is_empty());
    assert_eq!(case.driver.read(reply_at, 16), [0; 16]);

    // It mapped something all the same; the new driver's INIT takes it away.
    assert_eq!(case.live_mappings(), 1);
    assert_eq!(fuse::errno(&case.ask(&fuse::init(0), 256)), 0);
    assert_eq!(case.live_mappings(), 0);
}

#[test]
fn other_requests_are_served_while_a_mapping_waits() {
    let mut case = Case::new();
    let node = case.node();
    case.vmm.hold();
    case.driver
        .offer(&fuse::setup_mapping(node, 0, PAGE, 0), 16);
    let served = case.serve_in_background();
    case.vmm.wait_for_a_call();
    // On the same ring, as a pool's other thread would.
    case.node();
    case.vmm.release();
    expect(&served, "the mapping");
    assert_eq!(case.driver.used().len(), 1);
}

#[test]
fn stores_of_the_host_and_of_the_guest_are_the_same_bytes() {
    let mut case = Case::new();
    case.map_file();
    case.vmm
        .window
        .write(WindowOffset(4), b"CONTENT")
        .expect("a store");
    let path = case.share.path("file");
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    let file = file.expect("the file");
    let mut seen = [0; 7];
    file.read_exact_at(&mut seen, 4).expect("read");
    assert_eq!(&seen, b"CONTENT");
    file.write_all_at(b"THE", 0).expect("write");
    assert_eq!(&case.seen_in_window()[..3], b"THE");
}

#[test]
fn a_ring_whose_index_runs_away_is_left_alone() {
    let mut case = Case::new();
    case.driver.set_avail(40_000);
    case.serve();
    assert!(case.driver.used().is_empty());
    assert_eq!(case.metrics.bad_rings.get(), 1);
}

#[test]
fn a_ring_whose_parts_overlap_is_left_alone() {
    let mut case = Case::unmounted();
    Driver::stop(&case.ring);
    // Each return moves the available index along with the used one.
    let overlap = case.ring.set_queue_info(TABLE, AVAIL, AVAIL);
    overlap.expect("addresses of memory");
    case.ring.set_queue_ready(true);
    case.ring.set_enabled(true);
    case.driver.offer(&fuse::init(0), 256);
    expect(&case.serve_in_background(), "the end of the kick");
    assert_eq!(case.metrics.bad_rings.get(), 1);
    assert_eq!(case.metrics.requests[0].get(), 0);
}

#[test]
fn descriptors_offered_again_before_their_return_are_left_alone() {
    let mut case = Case::new();
    let room = fuse::OUT_HEADER;
    let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
    let (head, _) = case.driver.offer(&getattr, room);
    let mut held = Vec::new();
    // As a pool does that has threads without end.
    for _ in 0..4 * QUEUE_SIZE {
        case.driver.make_available(head);
        let keep = |(), taken| held.push(taken);
        case.poller.drain(0, &case.ring, || Some(()), keep);
    }
    assert_eq!(held.len(), usize::from(QUEUE_SIZE));
    assert_ne!(case.metrics.bad_rings.get(), 0);
    for taken in held {
        case.engine
            .serve(&case.ring, case.engine.parse(taken), Notify::Now);
    }
    case.driver.used();
}

/// A guest can take a page of its memory away from the daemon: it maps a file, truncates it, and
/// names the mapping's address in a descriptor.
#[test]
fn memory_that_is_gone_costs_only_what_lay_there() {
    let mut case = Case::new();
    let kept = MEMORY_SIZE / 2;
    case.driver.file.set_len(kept).expect("truncated");
    for (what, request_at, reply_at) in [
        ("a request", MEMORY_SIZE - PAGE, kept - PAGE),
        ("a reply", kept - PAGE, MEMORY_SIZE - PAGE),
        ("both, in a page not touched before", kept, kept + PAGE),
    ] {
        let getattr = fuse::request(Operation::Getattr, fuse::ROOT, &[0; 16]);
        if request_at < kept {
            for (offset, byte) in (0..).zip(&getattr) {
                case.driver.write(request_at + offset, *byte);
            }
        }
        let chain = [(request_at, getattr.len(), 1, 9), (reply_at, 256, 2, 0)];
        for (index, (addr, len, flags, next)) in (8..).zip(chain) {
            let len = len as u32;
            case.driver.put(
                index,
                Descriptor {
                    addr,
                    len,
                    flags,
                    next,
                },
            );
        }
        case.driver.make_available(8);
        case.serve();
        assert_eq!(case.driver.used().len(), 1, "{what}");
    }
    assert_ne!(case.metrics.lost_pages.get(), 0);
    case.node();
}

#[test]
fn a_head_outside_the_table_costs_only_itself() {
    let mut case = Case::new();
    case.driver.make_available(QUEUE_SIZE);
    case.node();
    assert_eq!(case.metrics.bad_heads.get(), 1);
}

fn any_descriptor() -> impl Strategy<Value = Descriptor> {
    let addr = prop_oneof![0..MEMORY_SIZE, any::<u64>()];
    (addr, 0..8192_u32, 0..8_u16, 0..2 * QUEUE_SIZE).prop_map(|(addr, len, flags, next)| {
        Descriptor {
            addr,
            len,
            flags,
            next,
        }
    })
}

/// Every operation with a body of any bytes, for any small node.
fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..160);
    (0..60_u32, 0..4_u64, body, 0..220_u32).prop_map(|(opcode, node, body, claimed)| {
        let mut request = fuse::request(Operation::Getattr, node, &body);
        request[0..4].copy_from_slice(&claimed.to_ne_bytes());
        request[4..8].copy_from_slice(&opcode.to_ne_bytes());
        request
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Each request is returned once, whatever it says, and the next one is served.
    #[test]
    fn any_bytes_are_answered(
        requests in prop::collection::vec((any_request(), 0..256_u32), 1..4),
    ) {
        let mut case = Case::new();
        for (request, room) in requests {
            case.ask(&request, room);
        }
        prop_assert_eq!(fuse::errno(&case.ask(&fuse::init(0), 256)), 0);
        case.node();
    }

    /// Serving ends, and at most what was made available is returned.
    #[test]
    fn any_ring_is_survived(
        table in prop::collection::vec(any_descriptor(), QUEUE_SIZE as usize),
        heads in prop::collection::vec(0..2 * QUEUE_SIZE, 1..QUEUE_SIZE as usize),
        jump in prop_oneof![Just(0_u16), any::<u16>()],
    ) {
        let mut case = Case::new();
        for (index, descriptor) in table.into_iter().enumerate() {
            case.driver.put(index as u16, descriptor);
        }
        for head in &heads {
            case.driver.make_available(*head);
        }
        if jump != 0 {
            case.driver.set_avail(jump);
        }
        case.serve();
    }
}
