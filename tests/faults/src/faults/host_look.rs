// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest's look at a file changes nothing about the file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use qemu_guest::script;
use rustix::fs::IFlags;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::mount::{MountFlags, mount_remount};
use virtiofs_driver::{Client, FileOffset, Handle, NodeId};

use crate::fault::{Fault, Setting};
use crate::host::{Overlay, Small};
use crate::model::Slot;
use crate::rig::{self, Rig, RigOptions, STEP_LIMIT, expect_errno};

/// Larger than `--dax-min-size`.
const LARGE: usize = 300_000;

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("host_look::nothing_is_copied_up", nothing_is_copied_up),
    Fault::new(
        "host_look::no_watcher_sees_a_write",
        no_watcher_sees_a_write,
    ),
    Fault::new(
        "host_look::a_file_frozen_after_it_can_be_read",
        a_frozen_file_can_be_read,
    ),
    Fault::new(
        "host_look::a_file_frozen_between_two_opens_can_be_read",
        a_file_frozen_between_two_opens_can_be_read,
    ),
    Fault::new(
        "host_look::a_share_made_read_only_after_it_can_be_read",
        a_read_only_share_can_be_read,
    ),
    Fault::new(
        "host_look::a_program_that_runs_after_it_can_be_read",
        a_running_program_can_be_read,
    ),
];

/// Looks at a file as a listing with attributes does.
fn look(client: &mut Client, name: &str) -> Result<NodeId> {
    let entry = client.lookup(NodeId::ROOT, name)?;
    ensure!(entry.attr.flags != 0, "{name} is not promised: no look");
    let node = NodeId(entry.nodeid);
    client.getattr(node, None)?;
    Ok(node)
}

/// On overlayfs, with a lower file that has two names: a look copies no file up. A file that is
/// mapped is copied up, which can't be avoided.
fn nothing_is_copied_up(setting: &Setting) -> Result<()> {
    let overlay = Overlay::mount(|lower| {
        for number in 0..4 {
            fs::write(lower.join(format!("file{number}")), vec![number; LARGE])?;
        }
        fs::hard_link(lower.join("file0"), lower.join("same"))?;
        Ok(())
    })?;
    let mut rig = Rig::start(setting, &RigOptions::on(overlay.share()))?;
    let names = ["file0", "file1", "file2", "file3", "same"];
    let nodes = names.map(|name| look(&mut rig.clients[0], name));
    let changed = overlay.changed()?;
    ensure!(changed.is_empty(), "copied up by a look: {changed:?}");
    let inode = |name: &str| Ok::<_, anyhow::Error>(overlay.share().join(name).metadata()?.ino());
    ensure!(inode("file0")? == inode("same")?, "a hard link is broken");

    let [_, mapped, ..] = nodes;
    let at = Slot(1).offset();
    rig.clients[0].setup_mapping(mapped?, FileOffset(0), 2 << 20, at, true)?;
    rig.window.write(at, b"stored")?;
    ensure!(overlay.changed()? == ["file1"], "this one was written to");
    let bytes = fs::read(overlay.share().join("file1"))?;
    ensure!(bytes.starts_with(b"stored"), "the store went elsewhere");
    rig.clients[0].destroy()?;
    Ok(())
}

/// No write event is seen, not even for the first file that the daemon meets.
fn no_watcher_sees_a_write(setting: &Setting) -> Result<()> {
    let options = RigOptions::default();
    let daemon = rig::daemon(setting, &options)?;
    let names = ["first", "second", "program"];
    for name in names {
        fs::write(daemon.share().join(name), vec![7; LARGE])?;
    }
    let watcher = Watcher::of(daemon.share())?;
    let (mut client, _vm) = rig::guest(&daemon, &options)?;
    for name in names {
        look(&mut client, name)?;
    }
    let seen = watcher.seen()?;
    ensure!(seen.is_empty(), "a look made these events: {seen:?}");
    // The watcher does see a real write.
    fs::write(daemon.share().join("first"), "other")?;
    ensure!(!watcher.seen()?.is_empty(), "the watcher sees nothing");
    Ok(())
}

/// chattr +i between the look-up and the open.
fn a_frozen_file_can_be_read(setting: &Setting) -> Result<()> {
    let options = RigOptions::default();
    let daemon = rig::daemon(setting, &options)?;
    fs::write(daemon.share().join("file"), vec![7; LARGE])?;
    let (mut client, _vm) = rig::guest(&daemon, &options)?;
    let node = look(&mut client, "file")?;
    let file = fs::File::open(daemon.share().join("file"))?;
    let flags = rustix::fs::ioctl_getflags(&file)?;
    rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE)?;
    let read = read_after_another_look(&mut client, node, "file");
    rustix::fs::ioctl_setflags(&file, flags)?;
    read
}

/// chattr +i between two opens. The daemon may answer the second open from the result of the first
/// one, for a while or until a mapping fails.
fn a_file_frozen_between_two_opens_can_be_read(setting: &Setting) -> Result<()> {
    let options = RigOptions::default();
    let daemon = rig::daemon(setting, &options)?;
    for name in ["opened", "mapped"] {
        fs::write(daemon.share().join(name), vec![7; LARGE])?;
    }
    let (mut client, _vm) = rig::guest(&daemon, &options)?;
    for (name, maps) in [("opened", false), ("mapped", true)] {
        let node = look(&mut client, name)?;
        let open = client.open(node, libc::O_RDONLY)?;
        client.release(node, Handle(open.fh))?;
        let file = fs::File::open(daemon.share().join(name))?;
        let flags = rustix::fs::ioctl_getflags(&file)?;
        rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE)?;
        let read = if maps {
            let at = Slot(0).offset();
            let mapped = client.setup_mapping(node, FileOffset(0), 2 << 20, at, false);
            expect_errno(mapped, libc::EACCES, "a mapping of a frozen file")
                .map_err(Into::into)
                .and_then(|()| read_after_another_look(&mut client, node, name))
        } else {
            until_stale(&mut client, node).and_then(|()| read_without_dax(&mut client, node, name))
        };
        rustix::fs::ioctl_setflags(&file, flags)?;
        read?;
    }
    Ok(())
}

/// Opens a file until the open fails with ESTALE.
fn until_stale(client: &mut Client, node: NodeId) -> Result<()> {
    let deadline = Instant::now() + STEP_LIMIT;
    loop {
        match client.open(node, libc::O_RDONLY) {
            Ok(open) => client.release(node, Handle(open.fh))?,
            stale => {
                return Ok(expect_errno(
                    stale,
                    libc::ESTALE,
                    "an open of a frozen file",
                )?);
            }
        }
        ensure!(
            Instant::now() < deadline,
            "opened as before for {STEP_LIMIT:?}"
        );
    }
}

/// A remount between the look-up and the open.
fn a_read_only_share_can_be_read(setting: &Setting) -> Result<()> {
    let small = Small::mount(16 << 20)?;
    let options = RigOptions::on(small.share());
    let daemon = rig::daemon(setting, &options)?;
    fs::write(daemon.share().join("file"), vec![7; LARGE])?;
    let (mut client, _vm) = rig::guest(&daemon, &options)?;
    let node = look(&mut client, "file")?;
    mount_remount(small.share(), MountFlags::RDONLY, "")?;
    read_after_another_look(&mut client, node, "file")
}

/// An execve between the look-up and the open, with a policy that maps programs.
fn a_running_program_can_be_read(setting: &Setting) -> Result<()> {
    let options = RigOptions::default().arg("--dax=always");
    let daemon = rig::daemon(setting, &options)?;
    let program = daemon.share().join("program");
    script::copy(Path::new("/bin/sleep"), &program)?;
    let (mut client, _vm) = rig::guest(&daemon, &options)?;
    let node = look(&mut client, "program")?;
    let mut running = Command::new(&program).arg("infinity").spawn()?;
    let read = read_after_another_look(&mut client, node, "program");
    // When Linux looks again it may have forgotten the node, and then knows the file by another
    // one.
    client.forget(node, 3)?;
    let again = client.lookup(NodeId::ROOT, "program")?;
    running.kill()?;
    running.wait()?;
    ensure!(again.nodeid != node.0, "the node was not forgotten");
    ensure!(again.attr.flags == 0, "promised again while it runs");
    read
}

/// Opens and reads a file whose DAX promise no longer holds, as Linux does. ESTALE makes Linux look
/// the file up again, and another generation makes it take a new inode, which does not use DAX.
fn read_after_another_look(client: &mut Client, node: NodeId, name: &str) -> Result<()> {
    expect_errno(
        client.open(node, libc::O_RDONLY),
        libc::ESTALE,
        "an open of a file that can't be mapped any more",
    )?;
    read_without_dax(client, node, name)
}

/// Looks up a file with a broken promise again, and reads it.
fn read_without_dax(client: &mut Client, node: NodeId, name: &str) -> Result<()> {
    for _ in 0..2 {
        let entry = client.lookup(NodeId::ROOT, name)?;
        ensure!(entry.nodeid == node.0, "another node");
        let heard = (entry.attr.flags, entry.generation);
        ensure!(heard == (0, 1), "flags and generation are {heard:?}");
    }
    let handle = Handle(client.open(node, libc::O_RDONLY)?.fh);
    let read = client.read_vec(node, handle, FileOffset(0), 1000)?;
    ensure!(read.len() == 1000, "{} bytes", read.len());
    Ok(())
}

/// Watches a directory for writes.
struct Watcher(std::os::fd::OwnedFd);

impl Watcher {
    fn of(directory: &Path) -> Result<Self> {
        let watcher = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let writes = WatchFlags::CLOSE_WRITE | WatchFlags::MODIFY | WatchFlags::ATTRIB;
        inotify::add_watch(&watcher, directory, writes)?;
        Ok(Self(watcher))
    }

    /// The events since the last call.
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
