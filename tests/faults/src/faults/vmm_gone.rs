// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM ends while many mappings are in flight.

use anyhow::{Result, ensure};
use virtiofs_driver::window::{Action, CallKind};
use virtiofs_driver::{Client, Script};

use crate::checks::bytes;
use crate::fault::{Fault, Setting};
use crate::model::{FileId, Slot};
use crate::rig::{Held, Rig, RigOptions, ended};

/// Mappings in flight.
const MANY: u64 = 100;
/// Mappings in flight, of which none has completed.
const ALL_IN_FLIGHT: u64 = 128;

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("vmm_gone::both_connections_at_once", |setting| {
        gone(setting, &RigOptions::default(), How::AtOnce)
    }),
    Fault::new("vmm_gone::with_a_thread_pool", |setting| {
        let options = RigOptions::default().arg("--thread-pool-size=2");
        gone(setting, &options, How::AtOnce)
    }),
    Fault::new("vmm_gone::with_one_queue", |setting| {
        let queues = 1;
        let options = RigOptions {
            queues,
            ..RigOptions::default()
        };
        gone(setting, &options, How::AtOnce)
    }),
    Fault::new("vmm_gone::the_channel_stays_open", |setting| {
        gone(setting, &RigOptions::default(), How::ChannelStays)
    }),
    Fault::new("vmm_gone::the_channel_goes_first", |setting| {
        gone(setting, &RigOptions::default(), How::ChannelFirst)
    }),
    Fault::new("vmm_gone::while_the_device_is_stopped", |setting| {
        gone(setting, &RigOptions::default(), How::Stopped)
    }),
    Fault::new(
        "vmm_gone::more_than_a_hundred_at_the_first_call",
        |setting| all_in_flight(setting, CallKind::Map),
    ),
    Fault::new(
        "vmm_gone::more_than_a_hundred_at_the_first_fence",
        |setting| all_in_flight(setting, CallKind::Fence),
    ),
];

#[derive(Clone, Copy)]
enum How {
    AtOnce,
    /// Only the control connection is closed before the daemon has ended.
    ChannelStays,
    ChannelFirst,
    /// Between `vhost_dev_stop` and the next start.
    Stopped,
}

fn gone(setting: &Setting, options: &RigOptions, how: How) -> Result<()> {
    let options = RigOptions {
        slots: 128,
        ..options.clone()
    };
    let mut rig = Rig::start(setting, &options)?;
    let file = rig.create(0, 100_000)?;
    rig.map(0, file, 0, Slot(127))?;
    rig.store(Slot(127), 77, 5000)?;
    let held = Held::new();
    let at = rig.rng.u64(0..MANY / 2);
    rig.vm
        .set_script(Script::once(CallKind::Map, at, Action::Hold(held.gate())));
    rig.watch.step("mappings take off");
    let queues = rig.clients.len() as u64;
    // A client's pipeline holds 64 requests.
    for slot in 0..MANY.min(queues * 64) {
        rig.begin_map((slot % queues) as usize, file, 0, Slot(slot))?;
    }
    held.wait_until_reached()?;
    rig.watch.step("the VMM goes");
    match how {
        How::AtOnce => {
            rig.vm.disconnect();
            held.release();
        }
        How::ChannelStays => {
            rig.vm.disconnect();
            ended(&mut rig.daemon, Some(0))?;
            held.release();
        }
        How::ChannelFirst => {
            rig.vm.close_channel();
            held.release();
            rig.vm.disconnect();
        }
        How::Stopped => {
            held.release();
            rig.vm.stop()?;
            rig.vm.disconnect();
        }
    }
    daemon_ends(rig, file)
}

/// The VMM ends at the first of many mappings: all of them are in flight, and none completes.
fn all_in_flight(setting: &Setting, kind: CallKind) -> Result<()> {
    let options = RigOptions {
        queues: 4,
        slots: ALL_IN_FLIGHT,
        ..RigOptions::default()
    };
    let mut rig = Rig::start(setting, &options)?;
    let file = rig.create(0, 100_000)?;
    let held = Held::new();
    rig.next_call(kind, Action::Hold(held.gate()));
    rig.watch.step("mappings take off");
    let queues = rig.clients.len() as u64;
    for slot in 0..ALL_IN_FLIGHT {
        rig.begin_map((slot % queues) as usize, file, 0, Slot(slot))?;
    }
    held.wait_until_reached()?;
    let pipelines = rig.clients.iter_mut().map(Client::pipeline);
    let in_flight: usize = pipelines.map(|one| one.in_flight()).sum();
    ensure!(in_flight as u64 == ALL_IN_FLIGHT, "{in_flight} in flight");
    for client in &mut rig.clients {
        let back = client.pipeline().poll()?;
        ensure!(
            back.is_none(),
            "one came back before the VMM went: {back:?}"
        );
    }
    rig.watch.step("the VMM goes");
    rig.vm.disconnect();
    held.release();
    daemon_ends(rig, file)
}

/// Checks that the daemon ends, and that the file's bytes are there.
fn daemon_ends(rig: Rig, file: FileId) -> Result<()> {
    let model = rig.files.get(file).clone();
    let (mut daemon, watch) = rig.without_vm();
    watch.step("the daemon ends");
    ended(&mut daemon, Some(0))?;
    bytes::on_host(daemon.share(), &model)
}
