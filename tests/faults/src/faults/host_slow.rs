// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file system under the share is slow.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::{Body, FileOffset, Request};

use super::host_fs::on_layer;
use crate::checks::wait_until_idle_threads_end;
use crate::fault::Setting;
use crate::host::{Behaviour, Operation};
use crate::model::Slot;
use crate::rig::Held;

/// Long enough for the other requests to overlap, and short enough for a test.
const A_MOMENT: Duration = Duration::from_millis(200);
/// Requests that are served meanwhile.
const MANY: u32 = 100;
const EACH: Duration = Duration::from_millis(2);

/// Other requests are served meanwhile. A device that is stopped then has to wait, because the
/// request is in flight on the ring.
pub(super) fn a_read_is_slow(setting: &Setting) -> Result<()> {
    let (mut rig, layer) = on_layer(setting)?;
    let (slow, other) = (rig.create(0, 100_000)?, rig.create(1, 100_000)?);
    rig.reopen(0, slow)?;
    layer.set(Operation::Read, Behaviour::Slow(A_MOMENT));
    let into = rig.vm.memory().allocate(4096, 4096)?;
    let file = rig.files.get(slow).clone();
    let body = Body::read(file.handle, FileOffset(8192), into.span());
    let pipeline = rig.clients[0].pipeline();
    let sent = pipeline.submit(&Request::new(file.node, body))?;
    pipeline.kick()?;
    rig.write(1, other, 90_000, b"meanwhile")?;
    rig.map(1, other, 0, Slot(5))?;
    rig.vm.stop()?;
    let back = rig.clients[0].pipeline().poll()?;
    let back = back.context("a request is under way on a ring that is stopped")?;
    ensure!(back.unique == sent && back.result.is_ok(), "{back:?}");
    rig.vm.start()?;
    layer.clear();
    ensure!(
        into.to_vec(4096)? == file.bytes[8192..12_288],
        "other bytes"
    );
    rig.finish()
}

/// A request that sleeps holds up no other one of its queue, however long it takes. The threads that
/// served such requests end after they have been idle for some time.
pub(super) fn others_are_served(setting: &Setting) -> Result<()> {
    let (mut rig, layer) = on_layer(setting)?;
    let (slow, other) = (rig.create(0, 100_000)?, rig.create(1, 100_000)?);
    // The page cache of the host has nothing of a file that was opened again.
    rig.reopen(0, slow)?;
    let (file, other) = (rig.files.get(slow).clone(), rig.files.get(other).clone());
    let into = rig.vm.memory().allocate(4096, 4096)?;
    let allocate = Body::fallocate(file.handle, libc::FALLOC_FL_KEEP_SIZE, FileOffset(0), 4096);
    for (operation, body) in [
        (
            Operation::Read,
            Body::read(file.handle, FileOffset(8192), into.span()),
        ),
        (Operation::Fsync, Body::fsync(file.handle, false)),
        (Operation::Fallocate, allocate),
    ] {
        let held = Held::new();
        layer.set(operation, Behaviour::Hold(held.gate()));
        let pipeline = rig.clients[0].pipeline();
        let sent = pipeline.submit(&Request::new(file.node, body))?;
        pipeline.kick()?;
        held.wait_until_reached()?;
        for _ in 0..MANY {
            let quick = pipeline.submit(&Request::new(other.node, Body::getattr(None)))?;
            let back = pipeline.complete()?;
            ensure!(
                back.unique == quick && back.result.is_ok(),
                "{operation:?}: {back:?}"
            );
        }
        layer.clear();
        held.release();
        let back = rig.clients[0].pipeline().complete()?;
        ensure!(
            back.unique == sent && back.result.is_ok(),
            "{operation:?}: {back:?}"
        );
    }
    ensure!(
        into.to_vec(4096)? == file.bytes[8192..12_288],
        "other bytes"
    );
    rig.watch.step("idle threads end");
    wait_until_idle_threads_end(&rig.daemon)?;
    rig.finish()
}

/// A request for the window is off its ring, so the device can be stopped while the open hangs.
pub(super) fn an_open_hangs(setting: &Setting) -> Result<()> {
    let (mut rig, layer) = on_layer(setting)?;
    let (file, other) = (rig.create(0, 100_000)?, rig.create(1, 100_000)?);
    let held = Held::new();
    layer.set(Operation::Open, Behaviour::Hold(held.gate()));
    let flight = rig.begin_map(0, file, 0, Slot(1))?;
    held.wait_until_reached()?;
    rig.pause()?;
    rig.write(1, other, 90_000, b"meanwhile")?;
    let early = rig.clients[0].pipeline().poll()?;
    ensure!(early.is_none(), "the guest was told too early: {early:?}");
    layer.clear();
    held.release();
    let landed = rig.land(&[flight])?;
    ensure!(landed.iter().all(|one| one.result.is_ok()), "{landed:?}");
    rig.finish()
}

pub(super) fn everything_is_slow(setting: &Setting) -> Result<()> {
    let (mut rig, layer) = on_layer(setting)?;
    for operation in Operation::ALL {
        layer.set(operation, Behaviour::Slow(EACH));
    }
    for number in 0..6 {
        let queue = number % 2;
        let file = rig.create(queue, 30_000 * (number + 1))?;
        rig.map(1 - queue, file, 0, Slot(number as u64))?;
        rig.store(Slot(number as u64), 1000, 9000)?;
        rig.read(queue, file, 0, 300_000)?;
        rig.pause()?;
    }
    rig.reset()?;
    rig.finish()
}
