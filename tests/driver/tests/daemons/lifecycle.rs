// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VM that is stopped, reset, changed, and disconnected.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use anyhow::Result;
use virtiofs_driver::queue::QueueError;
use virtiofs_driver::vhost::VhostError;
use virtiofs_driver::{
    Body, Client, FileOffset, FuseError, InitOptions, NodeId, Options, QueueIndex, Request, Vm,
    WindowOffset,
};

use crate::lease::hung_open;
use crate::rig::{PATIENCE, Rig, on_all, pattern};

#[test]
fn a_queue_goes_on_where_it_was_stopped() -> Result<()> {
    on_all(&[], |rig| {
        for round in 0..5 {
            rig.client.getattr(NodeId::ROOT, None)?;
            rig.vm.stop()?;
            assert!(!rig.vm.is_started());
            // A request that is made available meanwhile is served afterwards.
            let request = Request::new(NodeId::ROOT, Body::statfs());
            rig.client.pipeline().submit(&request)?;
            rig.client.pipeline().kick()?;
            rig.vm.start()?;
            let completion = rig.client.pipeline().complete()?;
            assert!(completion.result.is_ok(), "round {round}: {completion:?}");
        }
        Ok(())
    })
}

#[test]
fn the_window_stays_while_the_vm_is_stopped() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let (window, node) = rig.mapped_file()?;
    rig.vm.stop()?;
    let mut bytes = [0; 7];
    window.read(WindowOffset(0), &mut bytes)?;
    assert_eq!(&bytes, b"content");
    rig.vm.start()?;
    rig.unmap(node, 0)?;
    assert!(window.wait_until_settled(PATIENCE));
    assert_eq!((window.mapped(), window.violations()), (0, vec![]));
    Ok(())
}

#[test]
fn a_driver_begins_anew_after_a_reset() -> Result<()> {
    on_all(&[], |rig| {
        rig.file("file", b"content")?;
        rig.vm.reset()?;
        rig.client.pipeline().restart();
        rig.vm.start()?;
        rig.client.init(&InitOptions::linux())?;
        let node = rig.client.node("file")?;
        assert_eq!(rig.client.getattr(node, None)?.size, 7);
        Ok(())
    })
}

/// As a kdump kernel on one processor does. It first has to remove the mapping of its predecessor.
#[test]
fn the_next_driver_may_use_fewer_queues() -> Result<()> {
    let mut rig = Rig::start(&Options {
        request_queues: 3,
        ..Options::default()
    })?;
    let (window, _) = rig.mapped_file()?;
    for queue in 1..3 {
        let mut client = Client::new(&mut rig.vm, QueueIndex::request(queue))?;
        client.getattr(NodeId::ROOT, None)?;
    }
    rig.vm.reset()?;
    rig.client.pipeline().restart();
    rig.vm.start_first(2)?;
    rig.client.init(&InitOptions::linux())?;
    assert_eq!(window.mapped(), 0);
    let node = rig.client.node("file")?;
    rig.map(node, 0)?;
    assert_eq!((window.mapped(), window.violations()), (1, vec![]));
    Ok(())
}

#[test]
fn umount_empties_the_window() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let (window, _) = rig.mapped_file()?;
    rig.client.destroy()?;
    assert_eq!((window.mapped(), window.violations()), (0, vec![]));
    Ok(())
}

#[test]
fn added_memory_can_be_read_into_and_removed() -> Result<()> {
    on_all(&[], |rig| {
        let content = pattern(8192);
        let (node, handle) = rig.file("file", &content)?;
        let (id, region) = rig.vm.add_memory(4 << 20)?;
        let buffer = region.allocate(8192, 4096)?;
        let len = rig
            .client
            .read(node, handle, FileOffset(0), buffer.span())?;
        assert_eq!(buffer.to_vec(len as usize)?, content);
        rig.vm.remove_memory(id)?;
        assert!(matches!(
            rig.vm.remove_memory(id),
            Err(VhostError::NoRegion)
        ));
        let here = rig.vm.memory().allocate(8192, 4096)?;
        rig.client.read(node, handle, FileOffset(0), here.span())?;
        assert_eq!(here.to_vec(8192)?, content);
        Ok(())
    })
}

#[test]
fn the_memory_table_can_be_set_while_the_device_runs() -> Result<()> {
    on_all(&[], |rig| {
        rig.vm.set_memory_table()?;
        rig.client.getattr(NodeId::ROOT, None)?;
        Ok(())
    })
}

#[test]
fn the_daemon_ends_with_the_connection() -> Result<()> {
    on_all(&[], |rig| {
        rig.vm.disconnect();
        assert!(rig.daemon.wait()?.success(), "{}", rig.daemon.log());
        assert!(rig.daemon.processes().is_empty());
        expect_disconnected(rig);
        Ok(())
    })
}

#[test]
fn a_daemon_that_is_killed_is_an_error_and_no_hang() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    rig.daemon.kill();
    expect_disconnected(&mut rig);
    Ok(())
}

/// Checks that a request fails because the connection is closed.
fn expect_disconnected(rig: &mut Rig) {
    let error = rig
        .client
        .getattr(NodeId::ROOT, None)
        .expect_err("no daemon there");
    assert!(
        matches!(error, FuseError::Queue(QueueError::Disconnected { .. })),
        "{error}"
    );
}

/// Like a file system of the host that hangs; here a lease causes it.
#[test]
fn a_daemon_does_not_outlive_its_vmm_for_a_request_that_hangs() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let _held = hung_open(&mut rig)?;
    rig.vm.disconnect();
    let status = rig.daemon.wait()?;
    assert!(status.success(), "{status}: {}", rig.daemon.log());
    let log = rig.daemon.log();
    assert!(log.contains("1 of its requests are still waiting"), "{log}");
    Ok(())
}

#[test]
fn a_daemon_can_be_told_to_stop() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let status = rig.daemon.stop()?;
    assert!(status.success(), "{status}: {}", rig.daemon.log());
    Ok(())
}

#[test]
fn a_daemon_that_never_answers_is_given_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("sock");
    let _listener = UnixListener::bind(&socket)?;
    let begun = Instant::now();
    let options = Options {
        patience: Duration::from_millis(20),
        ..Options::default()
    };
    let error = Vm::connect(&socket, &options).expect_err("no answer");
    assert!(
        matches!(
            error,
            VhostError::TimedOut {
                request: "GET_FEATURES",
                ..
            }
        ),
        "{error}"
    );
    assert!(begun.elapsed() < PATIENCE);
    Ok(())
}
