// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each rule of the VMM bites, and each action of a script, for a daemon that is only the vhost
//! crate's end of the channel.

use std::fs::File;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;
use vhost::vhost_user::message::{
    FrontendReq, VhostUserMMap, VhostUserMMapFlags, VhostUserProtocolFeatures, VhostUserSharedMsg,
};
use vhost::vhost_user::{Backend, Frontend, VhostUserFrontendReqHandler};

use super::ChannelEnd;
use super::channel::Channel;
use super::control::Control;
use super::watchdog::Watchdog;
use crate::units::WindowOffset;
use crate::window::{
    Acknowledge, Action, BeyondLimit, CallKind, EmptyFile, Gate, MainLoop, Overlap, ReadOnly,
    Rules, Script, SizeCheck, Unmap, Violation, Vmm, Window, WindowError,
};

const PAGE: u64 = 4096;
const PAGES: u64 = 16;
const PATIENCE: Duration = Duration::from_secs(60);

/// A VMM, and the daemon's end of its channel.
struct Pair {
    daemon: Backend,
    window: Window,
    script: Arc<Mutex<Script>>,
    control: Arc<Control>,
    /// The daemon's end of the control connection.
    requests: UnixStream,
    channel: Channel,
}

fn start(rules: Rules) -> Pair {
    let (ours, requests) = UnixStream::pair().expect("sockets");
    let features = VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS;
    let clone = || ours.try_clone().expect("a descriptor");
    let watchdog = Watchdog::start(clone(), PATIENCE).expect("a thread");
    let mut frontend = Frontend::from_stream(clone(), 2);
    // Without REPLY_ACK nobody waits for the daemon.
    pretend_to_negotiate(&mut frontend, &requests, features);
    let control = Control::new(frontend, ours, watchdog, features);
    control.set_started(true);
    control.set_memory_regions(1);
    let window = Window::new(PAGES * PAGE).expect("a window");
    let announce = Arc::clone(&control) as Arc<dyn crate::window::Announce>;
    let vmm = Arc::new(Vmm::new(window.clone(), rules, announce));
    let script = Arc::<Mutex<Script>>::default();
    let (channel, theirs) =
        Channel::start(vmm, rules, &control, Arc::clone(&script)).expect("a channel");
    let daemon = Backend::from_stream(UnixStream::from(theirs));
    daemon.set_reply_ack_flag(true);
    daemon.set_shmem_flag(true);
    daemon.set_shared_object_flag(true);
    Pair {
        daemon,
        window,
        script,
        control,
        requests,
        channel,
    }
}

/// The front end's requests are sent only for features that it has been told of.
fn pretend_to_negotiate(
    frontend: &mut Frontend,
    daemon: &UnixStream,
    features: VhostUserProtocolFeatures,
) {
    use std::io::Write;
    use vhost::VhostBackend;
    use vhost::vhost_user::VhostUserFrontend;
    let mut daemon = daemon;
    let reply = |code: FrontendReq, value: u64| {
        let header = [code as u32, 5, 8].map(u32::to_le_bytes);
        [header.as_flattened(), &value.to_le_bytes()].concat()
    };
    let protocol = 1 << 30;
    daemon
        .write_all(&reply(FrontendReq::GET_FEATURES, protocol))
        .expect("a reply");
    frontend.get_features().expect("a reply");
    frontend.set_features(protocol).expect("no reply");
    frontend.set_protocol_features(features).expect("no reply");
    // Three headers, two of them with a number.
    daemon
        .read_exact(&mut [0; 12 + 20 + 20])
        .expect("three requests");
}

impl Pair {
    fn map_of(&self, file: &File, at: u64, pages: u64, writable: bool) -> std::io::Result<u64> {
        let flags = if writable {
            VhostUserMMapFlags::WRITABLE.bits()
        } else {
            0
        };
        let request = VhostUserMMap {
            shm_offset: at * PAGE,
            len: pages * PAGE,
            flags,
            ..VhostUserMMap::default()
        };
        self.daemon.shmem_map(&request, file)
    }

    fn map(&self, at: u64, pages: u64) -> std::io::Result<u64> {
        self.map_of(&file(PAGES), at, pages, true)
    }

    fn unmap(&self, at: u64, pages: u64) -> std::io::Result<u64> {
        self.daemon.shmem_unmap(&VhostUserMMap {
            shm_offset: at * PAGE,
            len: pages * PAGE,
            ..VhostUserMMap::default()
        })
    }

    /// Returns when all before it is in effect.
    fn fence(&self) {
        let uuid = Uuid::from_u128(8 << 76 | 2 << 62);
        let refused = self
            .daemon
            .shared_object_remove(&VhostUserSharedMsg { uuid });
        refused.expect_err("QEMU knows no shared objects");
    }

    fn mapped(&self) -> Vec<(u64, u64)> {
        self.fence();
        let mappings = self.window.mappings();
        mappings
            .iter()
            .map(|one| (one.at.0 / PAGE, one.len / PAGE))
            .collect()
    }

    fn violations(&self) -> Vec<Violation> {
        self.window.violations()
    }
}

fn file(pages: u64) -> File {
    let file = tempfile::tempfile().expect("a file");
    file.set_len(pages * PAGE).expect("room in the file");
    file
}

/// Nothing but the rule that is changed.
fn quiet() -> Rules {
    Rules {
        announce: false,
        ..Rules::qemu()
    }
}

#[test]
fn a_mapping_over_another_is_refused_or_takes_its_place() {
    let pair = start(quiet());
    pair.map(4, 4).expect("free");
    pair.map(7, 2).expect_err("over another");
    let (at, len) = (WindowOffset(7 * PAGE), 2 * PAGE);
    assert_eq!(pair.violations(), [Violation::Overlap { at, len }]);
    assert_eq!(pair.mapped(), [(4, 4)]);

    let pair = start(Rules {
        overlap: Overlap::Replace,
        ..quiet()
    });
    pair.map(4, 4).expect("free");
    pair.map(7, 2).expect("over another");
    assert_eq!(pair.mapped(), [(4, 3), (7, 2)]);
    assert_eq!(pair.violations(), []);
}

#[test]
fn an_unmapping_is_exact_or_cuts() {
    let pair = start(quiet());
    pair.map(4, 4).expect("free");
    for (at, pages) in [(4, 3), (5, 3), (3, 6), (0, 1)] {
        pair.unmap(at, pages).expect_err("not what was mapped");
    }
    assert_eq!((pair.violations().len(), pair.mapped()), (4, vec![(4, 4)]));
    pair.unmap(4, 4).expect("what was mapped");
    assert_eq!(pair.mapped(), []);

    let pair = start(Rules {
        unmap: Unmap::Any,
        ..quiet()
    });
    pair.map(4, 4).expect("free");
    pair.unmap(5, 1).expect("a part");
    assert_eq!(
        (pair.mapped(), pair.violations()),
        (vec![(4, 1), (6, 2)], vec![])
    );
}

#[test]
fn a_file_that_is_too_small_is_refused_or_mapped() {
    let pair = start(quiet());
    pair.map_of(&file(1), 0, 2, true)
        .expect_err("one page of two");
    let (size, needed) = (PAGE, 2 * PAGE);
    assert_eq!(pair.violations(), [Violation::TooSmall { size, needed }]);

    let pair = start(Rules {
        size_check: SizeCheck::Ignore,
        ..quiet()
    });
    pair.map_of(&file(1), 0, 2, true).expect("one page of two");
    pair.fence();
    let lost = pair.window.read(WindowOffset(PAGE), &mut [0]);
    assert!(
        matches!(lost, Err(WindowError::LostPage { .. })),
        "{lost:?}"
    );
}

#[test]
fn an_empty_file_grows_or_is_too_small() {
    let (grows, stays) = (file(0), file(0));
    start(quiet())
        .map_of(&grows, 0, 2, true)
        .expect("QEMU makes room");
    assert_eq!(grows.metadata().expect("its size").len(), 2 * PAGE);
    let pair = start(Rules {
        empty_file: EmptyFile::Leave,
        ..quiet()
    });
    pair.map_of(&stays, 0, 2, true).expect_err("it is empty");
    assert_eq!(stays.metadata().expect("its size").len(), 0);
}

#[test]
fn a_mapping_for_reading_can_be_written_unless_that_is_enforced() {
    let pair = start(quiet());
    pair.map_of(&file(1), 0, 1, false)
        .expect("a file that can be written");
    pair.fence();
    pair.window
        .write(WindowOffset(0), b"x")
        .expect("QEMU's are writable");
    let only_reads = File::open("/proc/self/exe").expect("this program");
    pair.map_of(&only_reads, 1, 1, false)
        .expect_err("it can't be written");
    assert_eq!(pair.violations(), [Violation::NotMappable(libc::EACCES)]);

    let pair = start(Rules {
        read_only: ReadOnly::Enforce,
        ..quiet()
    });
    pair.map_of(&only_reads, 0, 1, false).expect("for reading");
    pair.fence();
    pair.window
        .read(WindowOffset(0), &mut [0])
        .expect("for reading");
    pair.window
        .write(WindowOffset(0), b"x")
        .expect_err("not for writing");
}

#[test]
fn nothing_is_outside_of_the_window() {
    let pair = start(quiet());
    pair.map(PAGES - 1, 2).expect_err("half outside");
    pair.unmap(PAGES, 1).expect_err("outside");
    assert!(matches!(
        pair.violations()[..],
        [Violation::Outside { .. }, Violation::Outside { .. }]
    ));
}

#[test]
fn too_many_regions_are_refused_or_end_the_vm() {
    let pair = start(Rules {
        regions: 3,
        beyond_limit: BeyondLimit::Refuse,
        ..quiet()
    });
    for page in 0..2 {
        pair.map(page, 1)
            .expect("memory and two mappings are three");
    }
    pair.map(2, 1).expect_err("four");
    assert_eq!(
        pair.violations(),
        [Violation::TooManyRegions { regions: 4 }]
    );
    pair.unmap(0, 1).expect("mapped");
    pair.map(2, 1).expect("three again");

    let pair = start(Rules {
        regions: 2,
        ..quiet()
    });
    pair.map(0, 1).expect("two");
    pair.map(1, 1).expect_err("three");
    let mut requests = &pair.requests;
    assert_eq!(
        requests.read(&mut [0]).expect("an end"),
        0,
        "the VM is gone"
    );
}

#[test]
fn a_request_to_a_stopped_device_is_noted() {
    let pair = start(quiet());
    pair.control.set_started(false);
    pair.map(0, 1).expect("free");
    assert_eq!(pair.violations(), [Violation::WhileStopped]);
}

#[test]
fn mappings_are_announced_after_their_acknowledgement() {
    let pair = start(Rules::qemu());
    pair.map(3, 1).expect("free");
    pair.unmap(3, 1).expect("mapped");
    pair.fence();
    for code in [FrontendReq::ADD_MEM_REG, FrontendReq::REM_MEM_REG] {
        // Header, padding, guest address, size, user address, offset.
        let mut message = [0; 12 + 5 * 8];
        let mut requests = &pair.requests;
        requests.read_exact(&mut message).expect("a request");
        assert_eq!(message[..4], (code as u32).to_le_bytes());
        assert_eq!(message[28..36], PAGE.to_le_bytes(), "its size");
        let address = pair.window.address(WindowOffset(3 * PAGE)) as u64;
        assert_eq!(message[36..44], address.to_le_bytes(), "where it is");
    }
}

#[test]
fn an_acknowledgement_comes_before_or_after_the_effect() {
    let held = |acknowledge| {
        let pair = start(Rules {
            acknowledge,
            ..quiet()
        });
        let gate = Gate::new();
        *pair.script.lock() = Script::once(CallKind::Map, 0, Action::HoldEffect(gate.clone()));
        (pair, gate)
    };
    let (pair, gate) = held(Acknowledge::BeforeEffect);
    pair.map(0, 1).expect("acknowledged");
    assert!(gate.wait_until_reached(PATIENCE));
    assert_eq!(pair.window.mapped(), 0, "acknowledged, not in effect");
    gate.open();
    assert_eq!(pair.mapped(), [(0, 1)]);

    let (pair, gate) = held(Acknowledge::AfterEffect);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| pair.map(0, 1));
        assert!(gate.wait_until_reached(PATIENCE));
        assert!(!answer.is_finished());
        gate.open();
        answer.join().expect("no panic").expect("acknowledged");
        assert_eq!(pair.window.mapped(), 1, "acknowledged, in effect");
    });
}

#[test]
fn a_shared_main_loop_answers_nothing_during_a_request() {
    for (main_loop, answers) in [(MainLoop::Shared, false), (MainLoop::Separate, true)] {
        let pair = start(Rules {
            main_loop,
            ..quiet()
        });
        std::thread::scope(|scope| {
            let busy = pair.control.main_loop();
            let (done, answered) = std::sync::mpsc::channel();
            let pair = &pair;
            scope.spawn(move || done.send(pair.map(0, 1)));
            let limit = if answers {
                PATIENCE
            } else {
                Duration::from_millis(50)
            };
            assert_eq!(
                answered.recv_timeout(limit).is_ok(),
                answers,
                "{main_loop:?}"
            );
            drop(busy);
            if !answers {
                let answer = answered.recv_timeout(PATIENCE).expect("an answer");
                answer.expect("free");
            }
        });
    }
}

#[test]
fn a_script_changes_single_answers() {
    let pair = start(quiet());
    *pair.script.lock() = Script::new(|call| match (call.kind, call.nth) {
        (CallKind::Map, 1) => Action::Refuse(libc::ENOMEM),
        (CallKind::Map, 2) => Action::Answer(0),
        _ => Action::Proceed,
    });
    pair.map(0, 1).expect("as the rules say");
    pair.map(1, 1).expect_err("refused");
    pair.map(2, 1).expect("success, and nothing done");
    pair.map(3, 1).expect("as the rules say");
    assert_eq!(pair.mapped(), [(0, 1), (3, 1)]);
    let stats = pair.window.stats();
    assert_eq!((stats.maps, stats.refused, stats.fences), (2, 1, 1));
    assert_eq!(pair.channel.end(), ChannelEnd::Open);
}

#[test]
fn a_script_sees_what_is_asked() {
    let pair = start(quiet());
    let seen = Arc::<Mutex<Vec<_>>>::default();
    let notes = Arc::clone(&seen);
    *pair.script.lock() = Script::new(move |call| {
        notes.lock().push((call.kind, call.at.0, call.len));
        Action::Proceed
    });
    pair.map(2, 3).expect("free");
    pair.unmap(2, 3).expect("mapped");
    pair.fence();
    let (at, len) = (2 * PAGE, 3 * PAGE);
    let expected = [
        (CallKind::Map, at, len),
        (CallKind::Unmap, at, len),
        (CallKind::Fence, 0, 0),
    ];
    assert_eq!(*seen.lock(), expected);
}

#[test]
fn a_script_can_close_the_channel() {
    let pair = start(quiet());
    *pair.script.lock() = Script::once(CallKind::Unmap, 0, Action::CloseChannel);
    pair.map(0, 1).expect("as the rules say");
    pair.unmap(0, 1).expect_err("closed");
    assert_eq!(pair.window.mapped(), 1);
    let mut channel = pair.channel;
    channel.join();
    assert_eq!(channel.end(), ChannelEnd::Closed);
}

#[test]
fn a_script_can_answer_twice_or_never() {
    let pair = start(quiet());
    *pair.script.lock() = Script::once(CallKind::Map, 0, Action::AnswerTwice);
    pair.map(0, 1).expect("the first answer");
    pair.unmap(0, 1).expect_err("an answer to something else");

    let pair = start(quiet());
    *pair.script.lock() = Script::once(CallKind::Map, 0, Action::NeverAnswer);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| pair.map(0, 1));
        let deadline = Instant::now() + PATIENCE;
        while pair.window.mapped() == 0 {
            assert!(Instant::now() < deadline, "no mapping within {PATIENCE:?}");
            std::thread::yield_now();
        }
        assert!(!answer.is_finished());
        pair.channel.close();
        answer.join().expect("no panic").expect_err("closed");
    });
}
