// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each kind of queue transfers the same bytes.

use std::path::PathBuf;

use anyhow::{Context, Result};
use virtiofs_driver::daemon;
use virtiofs_driver::fuse::{Completion, expect_errno};
use virtiofs_driver::queue::QueueStats;
use virtiofs_driver::{
    Body, FileOffset, Framing, GuestBuffer, Handle, NodeId, Options, Pipeline, QueueIndex, Reply,
    Request, Vm, Waiting,
};

use crate::lease::Lease;
use crate::rig::{Rig, daemons, pattern};

const BLOCK: usize = 16 << 10;
const BLOCKS: usize = 96;
const DEPTH: usize = 32;

/// All combinations of the options that affect a queue.
fn all_options() -> Vec<Options> {
    let mut all = Vec::new();
    for indirect in [false, true] {
        for event_index in [false, true] {
            for framing in [Framing::Compact, Framing::Linux] {
                all.push(Options {
                    indirect,
                    event_index,
                    framing,
                    queue_size: 512,
                    ..Options::default()
                });
            }
        }
    }
    all
}

#[test]
fn bytes_are_the_same_with_every_kind_of_queue() -> Result<()> {
    for daemon in daemons()? {
        for options in all_options() {
            for waiting in [
                Waiting::Interrupt,
                Waiting::Poll,
                Waiting::PollThenInterrupt(64),
            ] {
                read_and_write(daemon.clone(), &options, waiting)
                    .with_context(|| format!("{}, {options:?}, {waiting:?}", daemon.display()))?;
            }
        }
    }
    Ok(())
}

fn read_and_write(daemon: PathBuf, options: &Options, waiting: Waiting) -> Result<()> {
    let mut rig = Rig::start_with(daemon, options, &[])?;
    let content = pattern(100_001);
    let (node, handle) = rig.file("file", &content)?;
    let client = &mut rig.client;
    client.pipeline().set_waiting(waiting);
    assert_eq!(
        client.read_vec(node, handle, FileOffset(0), 128 << 10)?,
        content
    );
    client.write_slice(node, handle, FileOffset(1), &content)?;
    let found = std::fs::read(rig.daemon.share().join("file"))?;
    assert_eq!((found[0], &found[1..]), (content[0], &content[..]));
    Ok(())
}

/// The notifications of quick requests are batched. A request that turns out to wait, here for a
/// lease, must not delay the completions before it.
#[test]
fn what_is_finished_is_told_of_while_another_request_waits() -> Result<()> {
    let mut rig = Rig::start_with(daemon::daxd()?, &Options::default(), &[])?;
    let (node, handle) = rig.file("file", b"content")?;
    let into = rig.vm.memory().allocate(4096, 4096)?;
    let path = rig.daemon.share().join("leased");
    std::fs::write(&path, b"content")?;
    let leased = rig.client.node("leased")?;
    for _ in 0..1000 {
        rig.client.getattr(node, None)?;
    }
    let lease = Lease::take(&path)?;
    let pipeline = rig.client.pipeline();
    pipeline.set_waiting(Waiting::Interrupt);
    let read = Body::read(handle, FileOffset(0), into.span());
    let quick = pipeline.submit(&Request::new(node, read))?;
    let slow = pipeline.submit(&Request::new(leased, Body::open(libc::O_RDWR)))?;
    let first = pipeline.complete()?;
    assert!(first.unique == quick && first.result.is_ok(), "{first:?}");
    let early = pipeline.poll()?;
    assert!(early.is_none(), "it was told of with {early:?}");
    drop(lease);
    let second = pipeline.complete()?;
    assert!(second.unique == slow && second.result.is_ok(), "{second:?}");
    Ok(())
}

#[test]
fn many_reads_under_way_come_back_with_their_own_bytes() -> Result<()> {
    for daemon in daemons()? {
        for options in all_options() {
            let mut rig = Rig::start_with(daemon.clone(), &options, &[])?;
            let content = pattern(BLOCK * BLOCKS);
            let file = rig.file("file", &content)?;
            let stats = read_all(&rig.vm, rig.client.pipeline(), file, &content)?;
            assert_eq!(
                (stats.submitted, stats.returned),
                (BLOCKS as u64, BLOCKS as u64)
            );
            assert!(stats.kicks + stats.kicks_saved <= stats.submitted);
        }
    }
    Ok(())
}

#[test]
fn two_queues_are_served_at_the_same_time() -> Result<()> {
    let options = Options {
        request_queues: 2,
        ..Options::default()
    };
    let mut rig = Rig::start_with(daemon::daxd()?, &options, &[])?;
    let content = pattern(BLOCK * BLOCKS);
    let file = rig.file("file", &content)?;
    let mut second = Pipeline::new(&mut rig.vm, QueueIndex::request(1), DEPTH)?;
    let (vm, first) = (&rig.vm, rig.client.pipeline());
    std::thread::scope(|scope| {
        let one = scope.spawn(|| read_all(vm, first, file, &content));
        let other = scope.spawn(|| read_all(vm, &mut second, file, &content));
        for reader in [one, other] {
            let stats = reader.join().expect("no panic")?;
            assert_eq!(stats.returned, BLOCKS as u64);
        }
        Ok(())
    })
}

/// Reads the file in blocks with as many READs in flight as possible, and compares each block.
/// Returns the queue's counters.
fn read_all(
    vm: &Vm,
    pipeline: &mut Pipeline,
    (node, handle): (NodeId, Handle),
    content: &[u8],
) -> Result<QueueStats> {
    let before = pipeline.queue().stats();
    let buffers = (0..DEPTH).map(|_| vm.memory().allocate(BLOCK, 4096));
    let mut free: Vec<GuestBuffer> = buffers.collect::<Result<_, _>>()?;
    let mut under_way = Vec::new();
    let mut next = 0;
    while next < BLOCKS || !under_way.is_empty() {
        while next < BLOCKS
            && let Some(buffer) = free.pop()
        {
            let offset = FileOffset((next * BLOCK) as u64);
            let body = Body::read(handle, offset, buffer.span());
            under_way.push((pipeline.submit(&Request::new(node, body))?, next, buffer));
            next += 1;
        }
        let Completion { unique, result } = pipeline.complete()?;
        let place = under_way.iter().position(|(sent, ..)| *sent == unique);
        let (_, block, buffer) = under_way.swap_remove(place.context("it was sent")?);
        let Reply::Data(len) = result? else {
            anyhow::bail!("no data");
        };
        let bytes = buffer.to_vec(len as usize)?;
        assert!(bytes == content[block * BLOCK..][..BLOCK], "block {block}");
        free.push(buffer);
    }
    let after = pipeline.queue().stats();
    Ok(QueueStats {
        submitted: after.submitted - before.submitted,
        returned: after.returned - before.returned,
        kicks: after.kicks - before.kicks,
        kicks_saved: after.kicks_saved - before.kicks_saved,
        sleeps: after.sleeps - before.sleeps,
    })
}

#[test]
fn a_queue_says_when_it_is_full() -> Result<()> {
    let options = Options {
        queue_size: 16,
        indirect: false,
        ..Options::default()
    };
    let mut rig = Rig::start(&options)?;
    let pipeline = rig.client.pipeline();
    let look = Request::new(NodeId::ROOT, Body::lookup("none"));
    for _ in 0..8 {
        pipeline.submit(&look)?;
    }
    let error = pipeline
        .submit(&look)
        .expect_err("8 requests of 2 descriptors fill 16");
    assert!(
        error.to_string().contains("no descriptors are free"),
        "{error}"
    );
    for _ in 0..8 {
        expect_errno(pipeline.complete()?.result, libc::ENOENT, "no such file")?;
    }
    Ok(())
}

#[test]
fn a_raw_queue_takes_what_a_driver_would_not_send() -> Result<()> {
    let mut rig = Rig::start(&Options::default())?;
    let mut queue = rig.vm.take_queue(QueueIndex::HIGH_PRIORITY)?;
    let mut raw = queue.raw();
    // The chain's next descriptor is the chain itself.
    raw.put_descriptor(
        0,
        virtiofs_driver::queue::Descriptor {
            addr: rig.vm.memory().base().0,
            len: 40,
            flags: 1,
            next: 0,
        },
    );
    raw.put_available(0, 0);
    raw.set_available_index(1);
    raw.kick()?;
    // The other queue still works.
    assert!(rig.client.getattr(NodeId::ROOT, None)?.ino > 0);
    assert!(rig.daemon.try_wait().is_none(), "{}", rig.daemon.log());
    Ok(())
}
