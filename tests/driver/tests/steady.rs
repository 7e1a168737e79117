// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A request in the steady state makes no allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use anyhow::{Result, ensure};
use virtiofs_driver::{
    Body, Client, Daemon, FileOffset, Framing, Handle, InitOptions, Options, QueueIndex, Request,
    Vm, Waiting, daemon,
};

const DEPTH: usize = 32;
const BLOCK: usize = 16 << 10;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a counter for each thread.
struct Counting;

// SAFETY: the system's allocator does all the work. The counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps to the same contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(mut work: impl FnMut() -> Result<()>) -> Result<usize> {
    let before = ALLOCATIONS.get();
    work()?;
    Ok(ALLOCATIONS.get() - before)
}

#[test]
fn a_request_allocates_nothing() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "daemons confine themselves as root does: run these tests as root"
    );
    let counted = allocations(|| {
        drop(std::hint::black_box(Box::new(1)));
        Ok(())
    })?;
    assert_eq!(counted, 1, "the account works");
    for framing in [Framing::Compact, Framing::Linux] {
        for indirect in [false, true] {
            let options = Options {
                framing,
                indirect,
                queue_size: 512,
                ..Options::default()
            };
            for waiting in [Waiting::Interrupt, Waiting::Poll] {
                assert_eq!(reads(&options, waiting)?, 0, "{options:?}, {waiting:?}");
            }
        }
    }
    Ok(())
}

/// The number of allocations of reads after all buffers have reached their size.
fn reads(options: &Options, waiting: Waiting) -> Result<usize> {
    let daemon = Daemon::command(daemon::daxd()?).start()?;
    std::fs::write(daemon.share().join("file"), vec![7; BLOCK])?;
    let mut vm = Vm::connect(&daemon.socket(), options)?;
    let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
    client.init(&InitOptions::linux())?;
    let node = client.node("file")?;
    let handle = Handle(client.open(node, libc::O_RDONLY)?.fh);
    let buffers = (0..DEPTH).map(|_| vm.memory().allocate(BLOCK, 4096));
    let buffers = buffers.collect::<Result<Vec<_>, _>>()?;
    let pipeline = client.pipeline();
    pipeline.set_waiting(waiting);
    let mut round = || {
        for buffer in &buffers {
            let body = Body::read(handle, FileOffset(0), buffer.span());
            pipeline.submit(&Request::new(node, body))?;
        }
        while pipeline.in_flight() > 0 {
            pipeline.complete()?.result?;
        }
        Ok(())
    };
    round()?;
    allocations(|| (0..20).try_for_each(|_| round()))
}
