// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A walk: its file system, daemon and VMM, and its random steps.

use std::path::PathBuf;

use anyhow::Result;
use fastrand::Rng;
use virtiofs_driver::window::{EmptyFile, Rules};

use super::Journal;
use super::ending::Ending;
use super::step::Step;
use crate::fault::Setting;
use crate::host::{Layer, Small};
use crate::rig::{Rig, RigOptions};

/// The most steps of a walk.
const LONGEST: u32 = 120;
/// Steps between two full comparisons.
const BETWEEN_LOOKS: u32 = 25;

/// Plays one walk.
pub(super) fn play(setting: &Setting, journal: &mut Journal) -> Result<()> {
    let mut rng = Rng::with_seed(setting.seed);
    let share = Share::draw(&mut rng)?;
    let options = options(&mut rng, &share);
    journal.step(format!("start on {share:?}: {options:?}"));
    let mut rig = Rig::start(setting, &options)?;
    let steps = rng.u32(1..=LONGEST);
    for number in 1..=steps {
        if let Some(step) = Step::draw(&mut rig, &share) {
            journal.step(format!("{step:?}"));
            step.play(&mut rig, &share)?;
        }
        if number % BETWEEN_LOOKS == 0 {
            rig.verify()?;
        }
    }
    let ending = Ending::draw(&mut rig);
    journal.step(format!("{ending:?}"));
    ending.play(rig)
}

/// Bytes of a tmpfs that never fills.
const AMPLE: u64 = 512 << 20;

/// The file system that is shared.
#[derive(Debug)]
pub(super) enum Share {
    /// The file system of the temporary directory.
    Own,
    /// A tmpfs, kept to keep the mount.
    Tmpfs(Small),
    /// A layer whose operations can be made to fail.
    Layer(Layer),
}

impl Share {
    pub(super) fn draw(rng: &mut Rng) -> Result<Self> {
        Ok(match rng.u8(0..3) {
            0 => Self::Own,
            1 => Self::Tmpfs(Small::mount(AMPLE)?),
            _ => Self::Layer(Layer::mount()?),
        })
    }

    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Own => None,
            Self::Tmpfs(small) => Some(small.share()),
            Self::Layer(layer) => Some(layer.share()),
        }
    }

    pub(super) fn layer(&self) -> Option<&Layer> {
        match self {
            Self::Layer(layer) => Some(layer),
            _ => None,
        }
    }
}

/// Draws the settings of daemon and VMM for a share.
fn options(rng: &mut Rng, share: &Share) -> RigOptions {
    let rules = match rng.bool() {
        true => Rules::qemu(),
        false => Rules {
            empty_file: EmptyFile::Leave,
            ..Rules::strict()
        },
    };
    let sandbox = ["namespace", "chroot", "none"][rng.usize(0..3)];
    let pool = [0, 0, 1, 3][rng.usize(0..4)];
    let mut arguments = vec![
        format!("--sandbox={sandbox}"),
        format!("--thread-pool-size={pool}"),
    ];
    if share.layer().is_none() && rng.bool() {
        arguments.push("--host-truncate=refuse".to_owned());
    }
    if share.layer().is_some() {
        // The layer can't find a file by its handle after the host's kernel has dropped the inode.
        arguments.push("--inode-file-handles=never".to_owned());
    }
    let slots = [4, 16, 64][rng.usize(0..3)];
    let mem_slots = slots > 4 || rng.bool();
    RigOptions {
        queues: rng.usize(1..=4),
        rules,
        arguments,
        share: share.path(),
        socket: None,
        slots,
        mem_slots,
    }
}
