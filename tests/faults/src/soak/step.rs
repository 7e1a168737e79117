// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One step of a walk. All its random decisions are drawn first, and then it is played.

use anyhow::{Result, ensure};
use virtiofs_driver::window::{Action, CallKind};

use super::walk::Share;
use crate::faults::control::{self, Event};
use crate::faults::host_fs;
use crate::host::{Behaviour, Operation};
use crate::model::{FileId, RANGE, Slot};
use crate::rig::{Held, Rig, expect_errno};

/// The most files at a time.
const MANY_FILES: usize = 8;
/// Possible sizes of a file, in bytes.
const SIZES: [usize; 6] = [1, 4096, 5000, 65_536, 200_000, RANGE as usize + 70_000];
/// The most bytes of a write, a read or a store.
const PIECE: usize = 20_000;

/// A step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Create {
        queue: usize,
        size: usize,
    },
    Write {
        queue: usize,
        file: FileId,
        at: usize,
        len: usize,
    },
    Read {
        queue: usize,
        file: FileId,
        at: usize,
    },
    Truncate {
        queue: usize,
        file: FileId,
        size: usize,
    },
    Reopen {
        queue: usize,
        file: FileId,
    },
    Remove {
        queue: usize,
        file: FileId,
    },
    Map {
        queue: usize,
        file: FileId,
        from: u64,
        slot: Slot,
    },
    Unmap {
        queue: usize,
        slot: Slot,
    },
    Store {
        slot: Slot,
        at: u64,
        len: usize,
    },
    Load {
        slot: Slot,
    },
    Remount,
    Device(Event),
    RefuseMap {
        queue: usize,
        file: FileId,
        slot: Slot,
    },
    Late {
        queue: usize,
        file: FileId,
        slot: Slot,
        effect: bool,
    },
    HostFails {
        operation: Operation,
        errno: i32,
        file: FileId,
    },
    HostWrites {
        file: FileId,
        at: usize,
        len: usize,
    },
    HostTruncates {
        file: FileId,
        size: usize,
    },
}

impl Step {
    /// Draws a step; `None` if the rig has nothing that the step could use.
    pub(super) fn draw(rig: &mut Rig, share: &Share) -> Option<Self> {
        let files = rig.files.ids();
        let slots: Vec<Slot> = rig.shown.0.keys().copied().collect();
        let rng = &mut rig.rng;
        let queue = rng.usize(0..rig.clients.len());
        let kind = rng.u8(0..44);
        let file = rng.choice(files.iter().copied());
        let slot = rng.choice(slots.iter().copied());
        let size = SIZES[rng.usize(0..SIZES.len())];
        let any = Slot(rng.u64(0..rig.slots));
        let place = rng.usize(0..size);
        let len = rng.usize(1..PIECE);
        // ESTALE is left out: the host's kernel would retry, and the fault would hit the next
        // request.
        let errno = [libc::EIO, libc::ENOSPC, libc::EDQUOT][rng.usize(0..3)];
        let operation = Operation::ALL[rng.usize(0..Operation::ALL.len())];
        let event = Event::ALL[rng.usize(0..Event::ALL.len())];
        let effect = rng.bool();
        if files.len() < 2 || kind < 4 && files.len() < MANY_FILES {
            return Some(Self::Create { queue, size });
        }
        let file = file?;
        let length = rig.files.get(file).bytes.len() as u64;
        let from = if length > RANGE && effect { RANGE } else { 0 };
        let hole = (!rig.shown.0.contains_key(&any)).then_some(any);
        Some(match kind {
            0..=8 => Self::Map {
                queue,
                file,
                from,
                slot: any,
            },
            9..=11 => Self::Unmap { queue, slot: slot? },
            12..=16 => store(rig, slot?, place as u64, len)?,
            17..=18 => Self::Load { slot: slot? },
            19..=21 => Self::Write {
                queue,
                file,
                at: place,
                len,
            },
            22..=24 => Self::Read {
                queue,
                file,
                at: place,
            },
            25 => Self::Truncate { queue, file, size },
            26..=27 => Self::Reopen { queue, file },
            28..=29 => Self::Remove { queue, file },
            30 => Self::Remount,
            31..=34 => Self::Device(event),
            35 => Self::RefuseMap {
                queue,
                file,
                slot: hole?,
            },
            36..=37 => Self::Late {
                queue,
                file,
                slot: hole?,
                effect,
            },
            38..=39 => {
                share.layer()?;
                Self::HostFails {
                    operation,
                    errno,
                    file,
                }
            }
            40..=41 => Self::HostWrites {
                file,
                at: place,
                len,
            },
            _ => Self::HostTruncates { file, size },
        })
    }

    /// Plays it.
    pub(super) fn play(self, rig: &mut Rig, share: &Share) -> Result<()> {
        match self {
            Self::Create { queue, size } => rig.create(queue, size).map(drop),
            Self::Write {
                queue,
                file,
                at,
                len,
            } => {
                let content = rig.random(len);
                rig.write(queue, file, at, &content)
            }
            Self::Read { queue, file, at } => rig.read(queue, file, at, PIECE),
            Self::Truncate { queue, file, size } => rig.truncate(queue, file, size),
            Self::Reopen { queue, file } => rig.reopen(queue, file),
            Self::Remove { queue, file } => rig.remove(queue, file),
            Self::Map {
                queue,
                file,
                from,
                slot,
            } => rig.map(queue, file, from, slot),
            Self::Unmap { queue, slot } => rig.unmap(queue, slot),
            Self::Store { slot, at, len } => rig.store(slot, at, len),
            Self::Load { slot } => rig.load(slot),
            Self::Remount => rig.remount(),
            Self::Device(event) => control::play(rig, event).map(drop),
            Self::RefuseMap { queue, file, slot } => {
                rig.next_call(CallKind::Map, Action::Refuse(libc::EFAULT));
                let asked = rig.ask_map(queue, file, 0, slot);
                Ok(expect_errno(asked, libc::EIO, "a refused map")?)
            }
            Self::Late {
                queue,
                file,
                slot,
                effect,
            } => late(rig, queue, file, slot, effect),
            Self::HostFails {
                operation,
                errno,
                file,
            } => host_fails(rig, share, operation, errno, file),
            Self::HostWrites { file, at, len } => {
                let content = rig.random(len);
                rig.write_on_host(file, at, &content)
            }
            Self::HostTruncates { file, size } => rig.truncate_on_host(file, size),
        }
    }
}

/// A store within the bytes of the file that a slot shows.
fn store(rig: &Rig, slot: Slot, at: u64, len: usize) -> Option<Step> {
    let room = rig.room(slot);
    let at = at.checked_rem(room)?;
    let len = len.min((room - at) as usize);
    Some(Step::Store { slot, at, len })
}

/// A map with a late answer or a late effect: the guest is told after that.
fn late(rig: &mut Rig, queue: usize, file: FileId, slot: Slot, effect: bool) -> Result<()> {
    let held = Held::new();
    let action = match effect {
        true => Action::HoldEffect(held.gate()),
        false => Action::Hold(held.gate()),
    };
    rig.next_call(CallKind::Map, action);
    let flight = rig.begin_map(queue, file, 0, slot)?;
    held.wait_until_reached()?;
    let early = rig.clients[queue].pipeline().poll()?;
    ensure!(early.is_none(), "the guest was told too early: {early:?}");
    held.release();
    let landed = rig.land(&[flight])?;
    ensure!(landed.iter().all(|one| one.result.is_ok()), "{landed:?}");
    rig.load_some(slot)
}

/// An operation of the layer fails once. The guest gets its errno, and nothing has changed.
fn host_fails(
    rig: &mut Rig,
    share: &Share,
    operation: Operation,
    errno: i32,
    file: FileId,
) -> Result<()> {
    let Some(layer) = share.layer() else {
        return Ok(());
    };
    // The files are written back first: the fault would make the kernel lose unwritten data.
    for id in rig.files.ids() {
        let path = layer.share().join(&rig.files.get(id).name);
        std::fs::File::open(path)?.sync_all()?;
    }
    rig.reopen(0, file)?;
    layer.set(operation, Behaviour::Fail(errno));
    let asked = host_fs::ask(rig, operation, file);
    layer.clear();
    let empty = operation == Operation::Read && rig.files.get(file).bytes.is_empty();
    if !empty {
        expect_errno(asked, errno, &format!("{operation:?}"))?;
    }
    rig.reopen(0, file)
}
