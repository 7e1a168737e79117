// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! vhost-user messages to a real session on a real socket, with descriptors, and answers on the
//! back-end channel.
//!
//! A front end may end its own session by its messages. So the target checks that the session does
//! end: with a result and no panic, with all of its threads, and without leaving anything behind.
//! See also [`crate::oracles`] and [`crate::fixture`].
//!
//! Answers are put on the channel before the daemon asks, so that the session need not wait for
//! them. A session that waits for a further answer waits until the front end has disconnected.

mod after;
mod front_end;
mod seeds;

use std::num::NonZeroU16;
use std::thread;
use std::time::Duration;

use shared_window::{DirectViews, RegionBudget, WindowOptions, WindowSize};
use virtiofs_daxd::config::{DaxMode, DaxPolicy, DeviceConfig, LockScope};
use virtiofs_daxd::device::{Session, SessionError, SessionOptions, SessionWindow};

use super::{Target, noticed};
use crate::fault::{self, Fault};
use crate::fixture::{self, Fixture};
use crate::guest::fs::Options;
use crate::input::{Bytes, Program, decode};
use crate::oracles;

use after::{Descriptors, Threads};
use front_end::FrontEnd;

crate::operations! {
    /// The operations of a front end.
    enum Operation {
        /// Starts a device as QEMU does, a queue and a back-end channel included.
        Start { without: u8 },
        /// Sends a message with a correct length in its header.
        Message { code: u8, flags: u8, descriptors: u8, more: u8, body: Bytes },
        /// Sends bytes.
        Raw { descriptors: u8, bytes: Bytes },
        /// Puts an answer on the channel.
        Answer { code: u8, flags: u8, value: u8 },
        /// Puts bytes on the channel.
        AnswerRaw { descriptors: u8, bytes: Bytes },
        /// Closes the channel.
        Hang {},
        /// Puts a FUSE request on the queue, kicks, and waits a moment.
        Request { bytes: Bytes },
        /// Truncates the guest's memory.
        Truncate { pages: u8 },
    }
}

crate::operations! {
    /// A session.
    struct Input {
        /// The daemon's options.
        options: Options,
        /// The operations.
        program: Program<Operation>,
    }
}

/// The target.
pub(super) const TARGET: Target = Target {
    name: "vhost_user",
    run,
    seeds: seeds::seeds,
    faults: &[noticed(
        Fault::LeakThread,
        "start",
        "for the session's threads",
    )],
};

/// How long a session and its threads may take to end on a busy machine.
const MUST_END: Duration = Duration::from_secs(10);

/// Plays an input.
fn run(data: &[u8]) {
    let Some(input) = decode::<Input>(data) else {
        return;
    };
    front_end::ignore_broken_pipes();
    oracles::judge(|| fixture::run(|fixture| play(fixture, &input)));
}

fn play(fixture: &Fixture, input: &Input) {
    let (threads, descriptors) = (Threads::now(), Descriptors::now());
    let (mut front_end, listener) = FrontEnd::connect();
    let fs = input.options.file_system(fixture);
    let session = Session::new(fs, options(), input.options.window().then(window));
    let session = session.expect("one thread for all queues can be had");
    let chroot = fixture.enter_chroot();
    let served = thread::spawn(move || session.run(listener));
    for operation in &input.program.0 {
        front_end.perform(operation);
    }
    front_end.leave();
    let ended = served.join().expect("a session that panics");
    if fault::strikes(Fault::LeakThread) {
        thread::spawn(|| thread::sleep(2 * MUST_END));
    }
    threads.wait_for_the_others(MUST_END);
    drop(chroot);
    descriptors.close_leaked();
    if let Err(error @ (SessionError::Panicked { .. } | SessionError::Threads(_))) = ended {
        panic!("the session failed: {error}");
    }
}

fn options() -> SessionOptions {
    SessionOptions {
        device: DeviceConfig {
            tag: Some("fuzz".to_owned()),
            request_queues: NonZeroU16::MIN,
            thread_pool_size: 0,
            mem_slots: true,
            poll: Duration::ZERO,
            locks: LockScope::Host,
        },
        observer: None,
        keep_files: true,
    }
}

fn window() -> SessionWindow<DirectViews> {
    SessionWindow {
        size: WindowSize::new(2 << 20).expect("a power of two"),
        views: DirectViews,
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
