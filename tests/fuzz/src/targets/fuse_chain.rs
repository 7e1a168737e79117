// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE bytes in descriptor chains, one request after another to one file system.
//!
//! A guest with correct virtqueues sends any bytes through them, in any pieces. Node numbers and
//! handles need no indirection: they are counted from the start of an input, so the same bytes mean
//! the same file each time.
//!
//! Checked for each request: it is returned once, with its own ID, and its reply is well-formed and
//! fits into its room. See also [`crate::oracles`] and [`crate::fixture`].

mod kernel;
mod recorded;

use std::sync::Arc;

use shared_window::{DirectViews, ProcessWindow, RegionBudget, WindowSize};
use virtiofs_daxd::adapter::AtomicMemory;
use virtiofs_daxd::config::{DaxMode, DaxPolicy};
use virtiofs_daxd::fuzzing::{FuzzedQueue, FuzzedWindow};
use virtiofsd::passthrough::PassthroughFs;

use super::{Target, noticed};
use crate::fault::{self, Fault};
use crate::fixture::{self, Fixture};
use crate::guest::fs::Options;
use crate::guest::queue::{MAX_WAITING, Offered, Queue};
use crate::guest::reply;
use crate::guest::shape::Frame;
use crate::input::{Program, decode};
use crate::oracles;

crate::operations! {
    /// A session: a daemon's options, and a guest's requests.
    pub(super) struct Input {
        /// The daemon's options.
        options: Options,
        /// The requests.
        frames: Program<Frame>,
    }
}

/// The target.
pub(super) const TARGET: Target = Target {
    name: "fuse_chain",
    run,
    seeds: recorded::seeds,
    faults: &[
        noticed(Fault::LeakDescriptor, "list", "leaves something behind"),
        noticed(Fault::LeakMemory, "list", "leaves something behind"),
        noticed(Fault::HugeAllocation, "list", "were allocated at once"),
        noticed(Fault::BurnTime, "list", "of processor time"),
        noticed(Fault::Panic, "list", "a fault that was asked for"),
        noticed(Fault::ReadOutside, "list", "files outside the share"),
        noticed(Fault::WriteOutside, "list", "files outside the share"),
        noticed(Fault::CreateOutside, "list", "files outside the share"),
        noticed(Fault::KeepUmask, "list", "the thread was"),
        noticed(Fault::KeepGroup, "list", "the thread was"),
        noticed(Fault::LoseReply, "list", "requests that were returned"),
        noticed(Fault::DoubleReply, "list", "requests that were returned"),
        noticed(Fault::LongReply, "list", "where there is room for"),
        noticed(Fault::WrongUnique, "list", "the reply to"),
    ],
};

type Device = FuzzedQueue<PassthroughFs, Arc<ProcessWindow>, DirectViews>;

/// Plays an input.
fn run(data: &[u8]) {
    let Some(input) = decode::<Input>(data) else {
        return;
    };
    oracles::judge(|| fixture::run(|fixture| play(fixture, &input)));
}

/// A device with these options on the fixture.
pub(crate) fn device(fixture: &Fixture, options: &Options, memory: &AtomicMemory) -> Device {
    let size = WindowSize::new(2 << 20).expect("a power of two");
    let window = options.window().then(|| FuzzedWindow {
        size,
        vmm: Arc::new(ProcessWindow::new(size).expect("address space")),
        views: DirectViews,
        budget: Arc::new(RegionBudget::default()),
        policy: DaxPolicy {
            mode: DaxMode::Always,
            min_size: 0,
        },
    });
    let device = FuzzedQueue::new(options.file_system(fixture), memory.clone(), 256, window);
    device.set_logging(options.logging());
    device
}

fn play(fixture: &Fixture, input: &Input) {
    Queue::with(|queue| {
        let device = device(fixture, &input.options, queue.memory());
        queue.start(device.ring());
        let chroot = fixture.enter_chroot();
        let mut waiting = Vec::new();
        for frame in &input.frames.0 {
            waiting.push(queue.offer(frame));
            if frame.shape.kicks() || waiting.len() == MAX_WAITING {
                serve(&device, queue, &mut waiting);
            }
        }
        serve(&device, queue, &mut waiting);
        drop(device);
        drop(chroot);
    });
}

fn serve(device: &Device, queue: &mut Queue, waiting: &mut Vec<Offered>) {
    device.kick();
    fault::misbehave();
    queue.misbehave();
    let mut returned = queue.returned();
    fault::spoil(&mut returned);
    let heads: Vec<_> = returned.iter().map(|(head, _)| *head).collect();
    let offered: Vec<_> = waiting.iter().map(|offered| offered.head).collect();
    assert_eq!(
        heads, offered,
        "requests that were returned, and those that were offered"
    );
    for (offered, (_, len)) in waiting.drain(..).zip(returned) {
        let mut room = queue.room(&offered);
        if fault::strikes(Fault::WrongUnique) && len >= 16 {
            room[8] ^= 0x80;
        }
        let judged = match offered.well_formed {
            true => reply::check(&offered.request, &room, len),
            false if len == 0 => Ok(()),
            false => Err(format!("a reply of {len} bytes to a chain that is none")),
        };
        if let Err(wrong) = judged {
            panic!("{wrong}; the request was {offered:?}");
        }
    }
}
