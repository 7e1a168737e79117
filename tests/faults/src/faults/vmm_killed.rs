// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM is a process of its own, and is killed while many mappings are in flight.

use std::fs;

use anyhow::Result;
use virtiofs_driver::{Handle, NodeId};

use super::restart;
use crate::checks::bytes;
use crate::fault::{Fault, Setting};
use crate::model::FileModel;
use crate::rig::{RigOptions, STEP_LIMIT, Watch, daemon, ended};
use crate::vmm::{self, Stage, Vmm};

/// The family. The soak can't run it: this program starts itself as the VMM, which the soak's
/// program can't.
pub const FAULTS: &[Fault] = &[
    Fault::long("vmm_killed::while_it_is_asked_to_map", |setting| {
        killed(setting, Stage::Map)
    }),
    Fault::long("vmm_killed::while_a_mapping_takes_effect", |setting| {
        killed(setting, Stage::Effect)
    }),
    Fault::long("vmm_killed::while_a_mapping_is_confirmed", |setting| {
        killed(setting, Stage::Fence)
    }),
    Fault::long("vmm_killed::while_it_is_asked_to_unmap", |setting| {
        killed(setting, Stage::Unmap)
    }),
];

/// Bytes of the file.
const SIZE: usize = 100_000;

fn killed(setting: &Setting, stage: Stage) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = restart::at(folder.path())?;
    let options = RigOptions {
        slots: vmm::options().slots,
        ..place
    };
    let mut daemon = daemon(setting, &options)?;
    let watch = Watch::new(daemon.pid(), STEP_LIMIT);
    let mut model = FileModel {
        name: vmm::FILE.to_owned(),
        node: NodeId::default(),
        handle: Handle(0),
        bytes: (0..SIZE).map(|byte| byte as u8).collect(),
    };
    fs::write(daemon.share().join(vmm::FILE), &model.bytes)?;
    watch.step("a VMM starts and maps");
    let vmm = Vmm::start(stage, &daemon.socket())?;
    watch.step("the VMM is killed");
    vmm.kill()?;
    watch.step("the daemon ends");
    ended(&mut daemon, Some(0))?;
    let (at, stored) = vmm::STORED;
    model.put(at, stored);
    bytes::on_host(daemon.share(), &model)?;
    drop(watch);
    restart::serves_on(setting, &options, vec![model])
}
