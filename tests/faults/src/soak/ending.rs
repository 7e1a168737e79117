// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How a walk ends.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use virtiofs_driver::window::{Action, CallKind};

use crate::checks::bytes;
use crate::faults::shmem;
use crate::model::{FileModel, Slot};
use crate::rig::{Held, Rig, ended};

/// The end of a walk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// All files are removed, and the VM disconnects.
    InOrder,
    /// The VM disconnects without a clean-up.
    Leaves,
    /// The VM disconnects with requests in flight, one of which the VMM has begun to serve.
    LeavesInFlight,
    /// The daemon gets SIGTERM.
    Term,
    /// The daemon's supervisor is killed.
    Kill,
    /// The channel is closed at a call, and the VM goes on for a while.
    ChannelClosed,
    /// A call is answered twice, and the VM goes on for a while.
    AnsweredTwice,
    /// A call is never answered.
    NeverAnswered,
}

const ALL: [Ending; 8] = [
    Ending::InOrder,
    Ending::Leaves,
    Ending::LeavesInFlight,
    Ending::Term,
    Ending::Kill,
    Ending::ChannelClosed,
    Ending::AnsweredTwice,
    Ending::NeverAnswered,
];

impl Ending {
    pub(super) fn draw(rig: &mut Rig) -> Self {
        match rig.rng.bool() {
            true => Self::InOrder,
            false => ALL[rig.rng.usize(0..ALL.len())],
        }
    }

    /// Plays the end, and checks that nothing is left and no byte is lost.
    pub(super) fn play(self, mut rig: Rig) -> Result<()> {
        if let Self::InOrder = self {
            return rig.finish();
        }
        rig.verify()?;
        let files = content(&rig);
        let share = rig.daemon.share().to_owned();
        match self {
            Self::InOrder | Self::Leaves => rig.leave()?,
            Self::LeavesInFlight => leaves_in_flight(rig)?,
            Self::Term => signalled(rig, Signal::TERM, Some(0))?,
            Self::Kill => signalled(rig, Signal::KILL, None)?,
            Self::ChannelClosed => broken(rig, Action::CloseChannel)?,
            Self::AnsweredTwice => broken(rig, Action::AnswerTwice)?,
            Self::NeverAnswered => never_answered(rig)?,
        }
        // A share in the daemon's folder has been removed with the daemon.
        if share.exists() {
            let same = |file| bytes::on_host(&share, file);
            files.iter().try_for_each(same)?;
        }
        Ok(())
    }
}

fn content(rig: &Rig) -> Vec<FileModel> {
    let ids = rig.files.ids().into_iter();
    ids.map(|id| rig.files.get(id).clone()).collect()
}

fn signalled(mut rig: Rig, signal: Signal, code: Option<i32>) -> Result<()> {
    rig.watch.step(format!("{signal:?}"));
    rig.daemon.signal(rig.daemon.pid(), signal)?;
    ended(&mut rig.daemon, code)
}

fn leaves_in_flight(mut rig: Rig) -> Result<()> {
    let file = rig.create(0, 9000)?;
    let hole = hole(&rig);
    let held = Held::new();
    rig.next_call(CallKind::Map, Action::Hold(held.gate()));
    rig.begin_map(0, file, 0, hole)?;
    held.wait_until_reached()?;
    for slot in (0..rig.slots).map(Slot) {
        let queue = slot.0 as usize % rig.clients.len();
        if slot != hole && rig.clients[queue].pipeline().in_flight() < 60 {
            rig.begin_map(queue, file, 0, slot)?;
        }
    }
    rig.vm.disconnect();
    held.release();
    rig.leave()
}

fn broken(mut rig: Rig, action: Action) -> Result<()> {
    let file = rig.create(0, 100_000)?;
    let hole = hole(&rig);
    rig.next_call(CallKind::Map, action);
    crate::rig::expect_errno(rig.ask_map(0, file, 0, hole), libc::EIO, "a broken channel")?;
    shmem::without_window(&mut rig, file)?;
    rig.leave()
}

fn never_answered(mut rig: Rig) -> Result<()> {
    let file = rig.create(0, 9000)?;
    let hole = hole(&rig);
    rig.next_call(CallKind::Map, Action::NeverAnswer);
    rig.begin_map(0, file, 0, hole)?;
    rig.pause()?;
    let early = rig.clients[0].pipeline().poll()?;
    ensure!(early.is_none(), "the guest was told: {early:?}");
    rig.leave()
}

/// An empty slot. If there is none, the first slot, which the request then maps anew.
fn hole(rig: &Rig) -> Slot {
    let mut slots = (0..rig.slots).map(Slot);
    let hole = slots.find(|slot| !rig.shown.0.contains_key(slot));
    hole.unwrap_or(Slot(0))
}
