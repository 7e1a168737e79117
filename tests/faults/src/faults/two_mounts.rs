// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Two mounts in the share make one file of the host two files of the guest. An operation that
//! takes pages from one of them must not take the pages from under a mapping of the other.

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use virtiofs_driver::{FileOffset, Handle, NodeId};

use crate::fault::{Fault, Setting};
use crate::host::{Behaviour, Layer, Operation, Twice};
use crate::model::{RANGE, Slot};
use crate::rig::{Held, Rig, RigOptions, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("two_mounts::mapped_pages_are_not_taken", not_taken),
    Fault::new("two_mounts::what_takes_no_mapped_page_is_done", done),
    Fault::new("two_mounts::a_mapping_waits_for_a_truncation", waits),
];

/// How often a refused operation is tried.
const TIMES: usize = 8;
/// The file's size: one range and a page.
const SIZE: u64 = RANGE + PAGE;
const PAGE: u64 = 4096;
/// How long the test waits for an event that must not happen: there is no other condition to wait
/// for.
const MUST_NOT_HAPPEN: Duration = Duration::from_millis(50);
/// Where the first range is mapped.
const SLOT: Slot = Slot(3);

/// A file with both of its nodes.
struct Both {
    rig: Rig,
    host: Twice,
    /// The directory of the name that is used to truncate the file.
    folder: NodeId,
    one: (NodeId, Handle),
    two: (NodeId, Handle),
}

impl Both {
    /// Maps the first range of the file by its second name.
    fn start(setting: &Setting) -> Result<Self> {
        let mut both = Self::unmapped(setting, Twice::mount()?)?;
        both.map()?;
        Ok(both)
    }

    fn unmapped(setting: &Setting, host: Twice) -> Result<Self> {
        let mut rig = Rig::start(setting, &RigOptions::on(host.share()))?;
        let mut content = rig.random(SIZE as usize);
        content[0] = b'x';
        fs::write(host.share().join("one/file"), content)?;
        let folder = rig.clients[0].node("one")?;
        let [one, two] = ["one/file", "two/file"].map(|name| -> Result<_> {
            let client = &mut rig.clients[0];
            let node = client.node(name)?;
            Ok((node, Handle(client.open(node, libc::O_RDWR)?.fh)))
        });
        let (one, two) = (one?, two?);
        ensure!(one.0 != two.0, "the guest has one node for both names");
        Ok(Self {
            rig,
            host,
            folder,
            one,
            two,
        })
    }

    fn map(&mut self) -> Result<()> {
        let (node, at) = (self.two.0, SLOT.offset());
        self.rig.clients[1].setup_mapping(node, FileOffset(0), RANGE, at, true)?;
        Ok(())
    }

    fn unmap(&mut self) -> Result<()> {
        self.rig.clients[1].remove_mapping(self.two.0, &[(SLOT.offset(), RANGE)])?;
        Ok(())
    }

    fn size(&self) -> Result<u64> {
        Ok(fs::metadata(self.host.share().join("one/file"))?.len())
    }

    /// The file's first byte, read through the window.
    fn first_byte(&self) -> Result<u8> {
        let mut first = [0];
        let read = self.rig.window.read(SLOT.offset(), &mut first);
        read.context("through the window")?;
        Ok(first[0])
    }

    /// Makes each operation that takes pages, by the first name.
    fn take(&mut self, errno: i32) -> Result<()> {
        let (folder, (node, handle)) = (self.folder, self.one);
        let client = &mut self.rig.clients[0];
        let to = |size| FileOffset(size);
        let tried = [
            ("SETATTR", client.truncate(node, None, to(0)).map(drop)),
            (
                "SETATTR with a handle",
                client.truncate(node, Some(handle), to(PAGE)).map(drop),
            ),
            (
                "SETATTR to a byte of a page",
                client.truncate(node, None, to(RANGE - PAGE)).map(drop),
            ),
            (
                "OPEN",
                client.open(node, libc::O_RDWR | libc::O_TRUNC).map(drop),
            ),
            (
                "CREATE",
                client
                    .create(folder, "file", libc::O_WRONLY | libc::O_TRUNC, 0o644)
                    .map(drop),
            ),
            (
                "FALLOCATE",
                client.fallocate(
                    node,
                    handle,
                    libc::FALLOC_FL_COLLAPSE_RANGE,
                    FileOffset(0),
                    2 * PAGE,
                ),
            ),
        ];
        for (what, result) in tried {
            expect_errno(result, errno, what)?;
        }
        Ok(())
    }
}

fn not_taken(setting: &Setting) -> Result<()> {
    let mut both = Both::start(setting)?;
    let before = both.rig.daemon.usage().descriptors();
    for _ in 0..TIMES {
        both.take(libc::ETXTBSY)?;
    }
    ensure!(both.size()? == SIZE, "it has {} bytes", both.size()?);
    ensure!(both.first_byte()? == b'x', "another byte");
    let after = both.rig.daemon.usage().descriptors();
    // A descriptor of a mapping may be closed a moment after the answer. So the check looks for one
    // descriptor that is left each time.
    ensure!(after < before + TIMES, "{before} descriptors, then {after}");
    ensure!(
        both.rig.daemon.log().contains("keeps its size"),
        "the log says nothing of it"
    );

    // The guest's kernel drops the mappings of a node that it truncates, without a request.
    let (node, handle) = both.two;
    both.rig.clients[0].truncate(node, Some(handle), FileOffset(PAGE))?;
    ensure!(both.size()? == PAGE, "it has {} bytes", both.size()?);
    Ok(())
}

fn done(setting: &Setting) -> Result<()> {
    let mut both = Both::start(setting)?;
    let (node, handle) = both.one;
    let client = &mut both.rig.clients[0];
    // Truncates behind the range, and to the present size.
    client.truncate(node, None, FileOffset(RANGE))?;
    client.truncate(node, Some(handle), FileOffset(SIZE))?;
    let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    client.fallocate(node, handle, punch, FileOffset(0), PAGE)?;
    ensure!(both.first_byte()? == 0, "a hole has no byte");

    both.unmap()?;
    let client = &mut both.rig.clients[0];
    client.truncate(node, None, FileOffset(PAGE))?;
    let how = libc::O_RDWR | libc::O_TRUNC;
    let (entry, open) = client.create(both.folder, "file", how, 0o644)?;
    ensure!(entry.attr.size == 0, "CREATE says {}", entry.attr.size);
    ensure!(NodeId(entry.nodeid) == node, "CREATE has another node");
    client.write_slice(node, Handle(open.fh), FileOffset(0), b"new")?;
    let (entry, open) = client.create(both.folder, "new", how, 0o400)?;
    client.write_slice(NodeId(entry.nodeid), Handle(open.fh), FileOffset(0), b"n")?;
    ensure!(both.size()? == 3, "it has {} bytes", both.size()?);
    both.map()?;
    ensure!(both.first_byte()? == b'n', "another byte");
    Ok(())
}

/// The mapping comes between the check for mappings and the truncation itself.
fn waits(setting: &Setting) -> Result<()> {
    let layer = Layer::mount()?;
    let mut both = Both::unmapped(setting, Twice::mount_of(&layer.share())?)?;
    let held = Held::new();
    layer.set(Operation::Setattr, Behaviour::Hold(held.gate()));
    let (one, (two, _)) = (both.one, both.two);
    let [first, second] = &mut both.rig.clients[..] else {
        bail!("there are two queues");
    };
    thread::scope(|scope| {
        let shorter = scope.spawn(|| first.truncate(one.0, Some(one.1), FileOffset(PAGE)));
        held.wait_until_reached()?;
        let (tell, told) = mpsc::channel();
        let mapped = scope.spawn(move || {
            let mapped = second.setup_mapping(two, FileOffset(0), RANGE, SLOT.offset(), true);
            let _ = tell.send(());
            mapped
        });
        let early = told.recv_timeout(MUST_NOT_HAPPEN);
        held.release();
        ensure!(
            early.is_err(),
            "it was mapped while the file was made shorter"
        );
        shorter.join().expect("no panic")?;
        mapped.join().expect("no panic")?;
        Ok(())
    })?;
    ensure!(both.size()? == PAGE, "it has {} bytes", both.size()?);
    ensure!(both.first_byte()? == b'x', "another byte");
    Ok(())
}
