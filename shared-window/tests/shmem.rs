// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM at the other end of a vhost-user socket, played by a thread that acknowledges as QEMU
//! does: first the answer, then the effect, one request after another.

#[path = "shmem/qemu.rs"]
mod qemu;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use shared_window::{
    Access, Call, DirectViews, Effect, FileOffset, Moment, RangeState, RegionBudget, RemoveRange,
    SetupRange, VhostUserShmem, Vmm, VmmError, Window, WindowOffset, WindowSize,
};
use vhost::vhost_user::message::{VhostUserMMap, VhostUserMMapFlags};
use vhost::vhost_user::{Backend, VhostUserFrontendReqHandler};

use crate::qemu::{Features, Qemu, Seen};

const PAGE: u64 = 4096;
const PAGES: u64 = 64;

/// A file whose pages begin with their numbers.
fn file() -> std::fs::File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(PAGES * PAGE).unwrap();
    for page in 0..PAGES {
        file.write_all_at(&[page as u8], page * PAGE).unwrap();
    }
    file
}

fn size() -> WindowSize {
    WindowSize::new(PAGES * PAGE).unwrap()
}

fn connected(features: Features) -> (Qemu, VhostUserShmem) {
    let (qemu, backend) = Qemu::start(size(), features);
    let shmem = VhostUserShmem::new();
    shmem.install(backend);
    (qemu, shmem)
}

/// A channel whose other end is not served.
fn bare() -> (VhostUserShmem, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let backend = Backend::from_stream(ours);
    backend.set_reply_ack_flag(true);
    backend.set_shared_object_flag(true);
    backend.set_shmem_flag(true);
    let shmem = VhostUserShmem::new();
    shmem.install(backend);
    (shmem, theirs)
}

fn map(shmem: &VhostUserShmem, page: u64) -> Result<(), VmmError> {
    let (at, from) = (WindowOffset(page * PAGE), FileOffset(page * PAGE));
    shmem.map(at, PAGE, file().as_fd(), from, Access::ReadWrite)
}

/// The first byte of a page of the window, if a file is mapped there.
fn shown(qemu: &Qemu, page: u64) -> Option<u8> {
    let mut byte = [0];
    let read = qemu.memory().read(WindowOffset(page * PAGE), &mut byte);
    read.is_ok().then_some(byte[0])
}

fn readable(qemu: &Qemu, page: u64) -> bool {
    shown(qemu, page).is_some()
}

fn ask(page: u64) -> SetupRange {
    SetupRange {
        window: WindowOffset(page * PAGE),
        file: FileOffset(0),
        len: PAGE,
        access: Access::ReadWrite,
    }
}

fn remove(page: u64) -> RemoveRange {
    RemoveRange {
        window: WindowOffset(page * PAGE),
        len: PAGE,
    }
}

#[test]
fn an_acknowledgement_alone_is_no_effect() {
    // The oracle of the next test: without the fence the effect is missing when the answer comes.
    let (qemu, backend) = Qemu::start(size(), Features::ALL);
    let commits = qemu.hold_commits();
    let request = VhostUserMMap {
        len: PAGE,
        flags: VhostUserMMapFlags::WRITABLE.bits(),
        ..VhostUserMMap::default()
    };
    backend.shmem_map(&request, &file()).unwrap();
    assert!(!readable(&qemu, 0), "acknowledged, not in effect");
    commits.let_go();
}

#[test]
fn a_mapping_is_in_effect_when_map_returns() {
    let (qemu, shmem) = connected(Features::ALL);
    for page in 0..PAGES {
        map(&shmem, page).unwrap();
        assert_eq!(shown(&qemu, page), Some(page as u8), "page {page}");
    }
    for page in 0..PAGES {
        shmem.unmap(WindowOffset(page * PAGE), PAGE).unwrap();
    }
    shmem.fence().unwrap();
    assert!(qemu.memory().mapped().is_empty());
}

#[test]
fn what_was_not_negotiated_fails_before_anything_is_mapped() {
    for (features, missing) in [
        (
            Features {
                reply_ack: false,
                ..Features::ALL
            },
            "REPLY_ACK",
        ),
        (
            Features {
                shared_object: false,
                ..Features::ALL
            },
            "SHARED_OBJECT",
        ),
        (
            Features {
                shmem: false,
                ..Features::ALL
            },
            "SHMEM",
        ),
    ] {
        let (qemu, shmem) = connected(features);
        let error = map(&shmem, 0).unwrap_err();
        assert!(
            matches!(error, VmmError::NotNegotiated { feature } if feature == missing),
            "{missing}: {error}"
        );
        assert_eq!(error.effect(), Effect::Nothing);
        let seen = qemu.seen();
        assert!(!seen.contains(&Seen::Map(0)), "{missing}: {seen:?}");
    }
}

#[test]
fn whether_mappings_can_be_confirmed_is_known_without_a_message() {
    for shared_object in [true, false] {
        let features = Features {
            shared_object,
            ..Features::ALL
        };
        let (qemu, shmem) = connected(features);
        assert_eq!(shmem.can_confirm(), Some(shared_object));
        assert_eq!(qemu.seen(), []);
        if shared_object {
            map(&shmem, 0).unwrap();
        }
        shmem.uninstall();
        assert_eq!(shmem.can_confirm(), None);
    }
}

#[test]
fn a_refusal_is_no_broken_channel() {
    let (_qemu, shmem) = connected(Features::ALL);
    map(&shmem, 3).unwrap();
    let error = map(&shmem, 3).unwrap_err();
    assert!(
        matches!(error, VmmError::Refused { what: "map", .. }),
        "{error}"
    );
    assert_eq!(error.effect(), Effect::Nothing);
    let error = shmem.unmap(WindowOffset(3 * PAGE), 2 * PAGE).unwrap_err();
    assert!(matches!(error, VmmError::NotMapped { .. }), "{error}");
    map(&shmem, 4).unwrap();
}

#[test]
fn what_was_acknowledged_and_not_confirmed_may_be_mapped() {
    let (qemu, shmem) = connected(Features::ALL);
    // The proof that the VMM answers at all; the next one is to confirm the mapping.
    qemu.forget_fences_after(1);
    let error = map(&shmem, 0).unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    assert!(readable(&qemu, 0), "the VMM has it");
}

#[test]
fn a_vmm_that_goes_away_is_an_error_not_a_hang() {
    let (qemu, shmem) = connected(Features::ALL);
    qemu.leave_at_next_map();
    let error = map(&shmem, 0).unwrap_err();
    assert!(
        matches!(error, VmmError::Channel { what: "map", .. }),
        "{error}"
    );
    assert_eq!(error.effect(), Effect::Unknown);
    shmem.unmap(WindowOffset(0), PAGE).unwrap_err();
    shmem.uninstall();
    assert!(matches!(map(&shmem, 0).unwrap_err(), VmmError::NoChannel));
}

#[test]
fn after_a_wrong_answer_nothing_more_is_asked() {
    let (shmem, mut theirs) = bare();
    let vmm = std::thread::spawn(move || {
        // A header of 12 bytes and a UUID; then as many bytes as an answer has, but none.
        theirs.read_exact(&mut [0; 28]).unwrap();
        theirs.write_all(&[0xff; 20]).unwrap();
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).unwrap();
        rest
    });
    for _ in 0..2 {
        let error = map(&shmem, 0).unwrap_err();
        assert!(matches!(error, VmmError::Channel { .. }), "{error}");
    }
    drop(shmem);
    assert!(
        vmm.join().unwrap().is_empty(),
        "nothing was sent after the wrong answer"
    );
}

#[test]
fn a_channel_is_installed_while_a_request_waits() {
    let (qemu, shmem) = connected(Features::ALL);
    let commits = qemu.hold_commits();
    let (other, backend) = Qemu::start(size(), Features::ALL);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| map(&shmem, 0));
        qemu.wait_for(Seen::Map(0));
        // This would never return if it waited for the request, which waits for the commit.
        shmem.install(backend);
        commits.let_go();
        waiting.join().unwrap().unwrap();
    });
    map(&shmem, 1).unwrap();
    assert!(readable(&qemu, 0) && readable(&other, 1));
}

#[test]
fn a_stopped_device_is_asked_for_nothing() {
    let (qemu, shmem) = connected(Features::ALL);
    let before = Moment::now();
    shmem.stop();
    shmem.start(before);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| tell.send(map(&shmem, 0)).unwrap());
        // There is no event to wait for: the call must not happen.
        let early = told.recv_timeout(Duration::from_millis(50));
        assert!(early.is_err(), "{early:?}");
        assert_eq!(qemu.seen(), []);
        shmem.start(Moment::now());
        told.recv().unwrap().unwrap();
    });
    assert!(readable(&qemu, 0));
}

#[test]
fn a_call_that_waits_for_the_device_fails_when_the_vmm_is_gone() {
    let (qemu, shmem) = connected(Features::ALL);
    shmem.stop();
    let waits = shmem.clone();
    let waiting = std::thread::spawn(move || map(&waits, 0));
    shmem.close();
    let error = waiting.join().unwrap().unwrap_err();
    assert!(matches!(error, VmmError::NoChannel), "{error}");
    shmem.start(Moment::now());
    let error = map(&shmem, 1).unwrap_err();
    assert!(matches!(error, VmmError::NoChannel), "{error}");
    assert_eq!(qemu.seen(), []);
}

#[test]
fn each_call_is_timed() {
    let (_qemu, shmem) = connected(Features::ALL);
    let calls = Arc::<Mutex<Vec<Call>>>::default();
    let timed = Arc::clone(&calls);
    let shmem = shmem.timed(move |call, _| timed.lock().unwrap().push(call));
    map(&shmem, 0).unwrap();
    shmem.unmap(WindowOffset(0), PAGE).unwrap();
    shmem.fence().unwrap();
    let calls = calls.lock().unwrap();
    for call in Call::ALL {
        assert!(calls.contains(&call), "{call:?} is missing in {calls:?}");
    }
}

#[test]
fn removals_are_not_fenced_and_a_clear_is() {
    let (qemu, shmem) = connected(Features::ALL);
    let budget = Arc::new(RegionBudget::default());
    let window = Window::new(size(), Arc::new(shmem), DirectViews, budget);
    let file = file();
    for page in 0..8 {
        window.setup(file.as_fd(), ask(page)).unwrap();
    }
    let before = qemu.seen().len();
    window.remove(&[0, 1, 2].map(remove)).unwrap();
    let unmaps = [0, PAGE, 2 * PAGE].map(Seen::Unmap);
    assert_eq!(qemu.seen()[before..], unmaps);
    window.clear().unwrap();
    assert!(qemu.memory().mapped().is_empty());
    assert_eq!(qemu.seen().last(), Some(&Seen::Fence));
}

#[test]
fn a_removal_that_is_not_in_effect_yet_is_waited_for_when_no_region_is_left() {
    let (qemu, shmem) = connected(Features::ALL);
    let budget = Arc::new(RegionBudget::new(1));
    let window = Window::new(size(), shmem, DirectViews, Arc::clone(&budget));
    let file = file();
    window.setup(file.as_fd(), ask(0)).unwrap();
    budget.set_in_use(1);
    let commits = qemu.hold_commits();
    window.remove(&[remove(0)]).unwrap();
    assert!(readable(&qemu, 0), "acknowledged, not in effect");
    std::thread::scope(|scope| {
        let mapping = scope.spawn(|| window.setup(file.as_fd(), ask(1)));
        // What QEMU's REM_MEM_REG says, before it answers anything else.
        budget.set_in_use(0);
        commits.let_go();
        mapping.join().unwrap().unwrap();
    });
    budget.set_in_use(1);
    let before = qemu.seen();
    let error = window.setup(file.as_fd(), ask(2)).unwrap_err();
    assert_eq!(error.errno(), libc::ENOBUFS, "{error}");
    assert!(!error.is_loss_of_vmm(), "{error}");
    assert_eq!(qemu.seen(), before, "there is nothing to wait for");
}

#[test]
fn a_vmm_that_dropped_its_mappings_can_be_used_again() {
    let (qemu, shmem) = connected(Features::ALL);
    let budget = Arc::new(RegionBudget::default());
    let window = Window::new(size(), shmem, DirectViews, budget);
    let file = file();
    let ask = ask(0);
    window.setup(file.as_fd(), ask).unwrap();
    qemu.memory().unmap(WindowOffset(0), PAGE).unwrap();
    window.clear().unwrap();
    window.setup(file.as_fd(), ask).unwrap();
    assert!(readable(&qemu, 0));
}

#[test]
fn a_window_refuses_what_a_lost_vmm_may_still_have() {
    let (qemu, shmem) = connected(Features::ALL);
    let shmem = Arc::new(shmem);
    let budget = Arc::new(RegionBudget::default());
    let window = Window::new(size(), Arc::clone(&shmem), DirectViews, budget);
    let file = file();
    let ask = ask(0);
    qemu.leave_at_next_map();
    for _ in 0..2 {
        let error = window.setup(file.as_fd(), ask).unwrap_err();
        assert_eq!(error.errno(), libc::EIO, "{error}");
        assert!(error.is_loss_of_vmm(), "{error}");
        assert_eq!(window.snapshot()[0].state, RangeState::Indeterminate);
    }
}
