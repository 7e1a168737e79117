// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each rule changes the VMM's behaviour.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use vhost::vhost_user::message::FrontendReq;

use super::pair::{PAGE, PAGES, PATIENCE, file, quiet, start};
use crate::units::WindowOffset;
use crate::window::{
    Acknowledge, Action, BeyondLimit, CallKind, EmptyFile, Gate, MainLoop, Overlap, ReadOnly,
    Rules, Script, SizeCheck, Unmap, Violation, WindowError,
};

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
fn what_was_mapped_while_the_device_was_stopped_is_announced_when_it_starts() {
    let pair = start(Rules::qemu());
    pair.control.set_started(false);
    pair.map(0, 1).expect("free");
    pair.fence();
    let mut requests = &pair.requests;
    requests.set_nonblocking(true).expect("a socket");
    requests.read(&mut [0]).expect_err("nothing is announced");
    pair.control.set_started(true);
    pair.control.announce_changes(pair.window.with_addresses());
    let mut code = [0; 4];
    requests.read_exact(&mut code).expect("a request");
    assert_eq!(code, (FrontendReq::ADD_MEM_REG as u32).to_le_bytes());
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
