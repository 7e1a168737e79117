// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon that is killed with requests in flight, and its successor.

use std::fs;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use virtiofs_driver::fuse::Completion;
use virtiofs_driver::{
    Body, Daemon, FileOffset, FuseError, InitOptions, NodeId, Options, Request, Unique,
    WindowOffset,
};

use crate::lease::{Lease, hung_open};
use crate::rig::{RANGE, Rig, command};

/// A request that the old daemon had begun is answered with EIO. A later request for an old node is
/// answered with ESTALE.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Begun,
    Stale,
}

fn answer(completion: &Completion) -> Result<Answer> {
    match completion.result.as_ref().map_err(FuseError::errno) {
        Ok(_) => Ok(Answer::Done),
        Err(Some(libc::EIO)) => Ok(Answer::Begun),
        Err(Some(libc::ESTALE)) => Ok(Answer::Stale),
        Err(_) => Err(anyhow::anyhow!("answered otherwise: {completion:?}")),
    }
}

/// A rig whose daemon has one hanging request in flight. The daemon has returned other requests
/// since, also ones that were made available later.
struct Interrupted {
    rig: Rig,
    options: Options,
    node: NodeId,
    hanging: Unique,
    _lease: Lease,
    /// The folder of the share and the socket, which outlive a daemon.
    folder: TempDir,
}

/// A VMM that keeps the in-flight buffer for the next daemon.
fn keeping_in_flight() -> Options {
    Options {
        keeps_in_flight: true,
        ..Options::default()
    }
}

fn start_daemon(folder: &TempDir, arguments: &[&str]) -> Result<Daemon> {
    let daemon = command()?
        .share(folder.path().join("share"))
        .socket(folder.path().join("socket"))
        .args(["--tag=share", "--dax-window=64M"])
        .args(arguments);
    Ok(daemon.start()?)
}

impl Interrupted {
    fn start(options: Options) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("share"))?;
        // With a pool, other requests are served while one hangs.
        let daemon = start_daemon(&folder, &["--thread-pool-size=4"])?;
        let mut rig = Rig::on(daemon, &options)?;
        let (node, _) = rig.file("file", b"content")?;
        let (lease, hanging) = hung_open(&mut rig)?;
        let pipeline = rig.client.pipeline();
        // More requests than the ring has room for, so that no entry of the ring names the one that
        // hangs.
        for _ in 0..2 * u32::from(options.queue_size) {
            pipeline.submit(&Request::new(NodeId::ROOT, Body::statfs()))?;
            let completion = pipeline.complete()?;
            ensure!(completion.unique != hanging && completion.result.is_ok());
        }
        Ok(Self {
            rig,
            options,
            node,
            hanging,
            _lease: lease,
            folder,
        })
    }

    /// Kills the daemon in the middle of its work, and starts another one in its place.
    fn restart(&mut self) -> Result<()> {
        let rig = &mut self.rig;
        rig.daemon.kill();
        // The guest doesn't notice.
        let pipeline = rig.client.pipeline();
        pipeline.submit(&Request::new(self.node, Body::statfs()))?;
        rig.daemon = start_daemon(&self.folder, &[])?;
        Ok(rig.vm.reconnect(&rig.daemon.socket(), &self.options)?)
    }
}

#[test]
fn requests_under_way_are_answered_by_the_next_daemon() -> Result<()> {
    for event_index in [true, false] {
        let mut case = Interrupted::start(Options {
            queue_size: 16,
            event_index,
            ..keeping_in_flight()
        })?;
        case.restart()?;
        let pipeline = case.rig.client.pipeline();
        let first = pipeline.complete()?;
        ensure!(first.unique == case.hanging, "{first:?}");
        assert_eq!(answer(&first)?, Answer::Begun);
        let second = pipeline.complete()?;
        assert_eq!(answer(&second)?, Answer::Stale, "it was not begun");
        assert_eq!(pipeline.in_flight(), 0);
        // No request was lost or answered twice: the driver has got each descriptor back.
        for _ in 0..40 {
            pipeline.submit(&Request::new(NodeId::ROOT, Body::statfs()))?;
            assert_eq!(answer(&pipeline.complete()?)?, Answer::Stale);
        }
    }
    Ok(())
}

#[test]
fn a_new_daemon_knows_no_node_until_init() -> Result<()> {
    let mut case = Interrupted::start(keeping_in_flight())?;
    case.restart()?;
    let node = case.node;
    let Rig { client, vm, .. } = &mut case.rig;
    // The requests that were in flight.
    for _ in 0..2 {
        client.pipeline().complete()?;
    }
    let window = vm.window().context("a window")?.clone();
    let at = WindowOffset(0);
    let stale = |error: FuseError| error.errno() == Some(libc::ESTALE);
    assert!(stale(client.lookup(NodeId::ROOT, "file").unwrap_err()));
    assert!(stale(client.getattr(node, None).unwrap_err()));
    let mapped = client.setup_mapping(node, FileOffset(0), RANGE, at, true);
    assert!(stale(mapped.unwrap_err()));
    // The guest removes a mapping that does not exist any more.
    client.remove_mapping(node, &[(at, RANGE)])?;
    client.forget(node, 1)?;
    assert_eq!(window.mapped(), 0);
    client.destroy()?;
    client.init(&InitOptions::linux())?;
    let node = client.node("file")?;
    client.setup_mapping(node, FileOffset(0), RANGE, at, true)?;
    let mut bytes = [0; 7];
    window.read(at, &mut bytes)?;
    assert_eq!(&bytes, b"content");
    assert_eq!(window.violations(), vec![]);
    Ok(())
}
