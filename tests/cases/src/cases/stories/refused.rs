// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Long-term pins, which a DAX file has to refuse.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::pins::UringRegister;

use super::{Story, play};
use crate::cases::scene::Scene;
use crate::cases::{Observation, RemovalKind, matrix};
use crate::host::{FileSystem, Rig};

pub(super) const STORIES: &[Story] = &[Story {
    name: "uring-fixed-refused",
    finding: |_| None,
    about: "io_uring's fixed buffers, registered on a DAX page: FOLL_LONGTERM",
    source: "mm/gup.c: FOLL_LONGTERM of an fsdax mapping is EOPNOTSUPP",
    fs: &FileSystem::ALL,
    contract: Contract::MustRefuse,
    expected: |_, _| vec![Outcome::Refused],
    play: play!(uring_fixed),
}];

async fn uring_fixed(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut scene = Scene::set(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&scene);
    let register = UringRegister {
        name: "ring".to_owned(),
        map: scene.page.map.clone(),
        at: scene.page.at,
        len: scene.page.len,
    };
    let pending = scene.pinner.begin(register).await?;
    let done = scene.pinner.done(&pending).await?;
    if let Err(fault) = &done.outcome {
        seen.step(format_args!("refused: {fault}"));
        anyhow::ensure!(
            fault.errno == Some(libc::EOPNOTSUPP),
            "refused for another reason: {fault}"
        );
    }
    seen.returned = Some(done.outcome);
    matrix::close(rig, scene, seen).await
}
