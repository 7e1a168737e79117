// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest's look at a file does to the file: nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, ensure};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use virtiofs_driver::{Client, Daemon, InitOptions, NodeId, QueueIndex, Vm};

use crate::fault::{Fault, Setting};
use crate::host::Overlay;
use crate::model::Slot;
use crate::rig::{self, Rig, RigOptions};

/// Larger than `--dax-min-size`.
const LARGE: usize = 300_000;

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("host_look::nothing_is_copied_up", nothing_is_copied_up),
    Fault::new(
        "host_look::no_watcher_sees_a_write",
        no_watcher_sees_a_write,
    ),
];

/// A listing with attributes asks for each file.
fn look(client: &mut Client, name: &str) -> Result<NodeId> {
    let entry = client.lookup(NodeId::ROOT, name)?;
    ensure!(entry.attr.flags != 0, "{name} is not promised: no look");
    let node = NodeId(entry.nodeid);
    client.getattr(node, None)?;
    Ok(node)
}

/// On overlayfs, whose lower files have two names. What is mapped is copied up, as it has to be.
fn nothing_is_copied_up(setting: &Setting) -> Result<()> {
    let overlay = Overlay::mount(|lower| {
        for number in 0..4 {
            fs::write(lower.join(format!("file{number}")), vec![number; LARGE])?;
        }
        fs::hard_link(lower.join("file0"), lower.join("same"))?;
        Ok(())
    })?;
    let options = RigOptions {
        share: Some(overlay.share()),
        ..RigOptions::default()
    };
    let mut rig = Rig::start(setting, &options)?;
    let names = ["file0", "file1", "file2", "file3", "same"];
    let nodes = names.map(|name| look(&mut rig.clients[0], name));
    let changed = overlay.changed()?;
    ensure!(changed.is_empty(), "copied up by a look: {changed:?}");
    let inode = |name: &str| Ok::<_, anyhow::Error>(overlay.share().join(name).metadata()?.ino());
    ensure!(inode("file0")? == inode("same")?, "a hard link is broken");

    let [_, mapped, ..] = nodes;
    let at = Slot(1).offset();
    rig.clients[0].setup_mapping(mapped?, virtiofs_driver::FileOffset(0), 2 << 20, at, true)?;
    rig.window.write(at, b"stored")?;
    ensure!(overlay.changed()? == ["file1"], "this one was written to");
    let bytes = fs::read(overlay.share().join("file1"))?;
    ensure!(bytes.starts_with(b"stored"), "the store went elsewhere");
    rig.clients[0].destroy()?;
    Ok(())
}

/// Not even at the first file that the daemon meets.
fn no_watcher_sees_a_write(setting: &Setting) -> Result<()> {
    let options = RigOptions::default();
    let daemon = rig::daemon(setting, &options)?;
    let names = ["first", "second", "program"];
    for name in names {
        fs::write(daemon.share().join(name), vec![7; LARGE])?;
    }
    let watcher = Watcher::of(daemon.share())?;
    let (mut client, _vm) = guest(&daemon, &options)?;
    for name in names {
        look(&mut client, name)?;
    }
    let seen = watcher.seen()?;
    ensure!(seen.is_empty(), "a look made these events: {seen:?}");
    // The watcher sees what it is there for.
    fs::write(daemon.share().join("first"), "other")?;
    ensure!(!watcher.seen()?.is_empty(), "the watcher sees nothing");
    Ok(())
}

/// A guest of a rig's kind for which nothing has been done yet.
fn guest(daemon: &Daemon, options: &RigOptions) -> Result<(Client, Vm)> {
    let mut vm = Vm::connect(&daemon.socket(), &rig::vm_options(options))?;
    let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
    client.init(&InitOptions::linux())?;
    Ok((client, vm))
}

/// Hears of writes in a directory.
struct Watcher(std::os::fd::OwnedFd);

impl Watcher {
    fn of(directory: &Path) -> Result<Self> {
        let watcher = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let writes = WatchFlags::CLOSE_WRITE | WatchFlags::MODIFY | WatchFlags::ATTRIB;
        inotify::add_watch(&watcher, directory, writes)?;
        Ok(Self(watcher))
    }

    /// What it has heard of since it was asked last.
    fn seen(&self) -> Result<Vec<ReadFlags>> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut seen = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => seen.push(event.events()),
                Err(rustix::io::Errno::AGAIN) => return Ok(seen),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
