// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The shared directory itself: replaced, unmounted and made read-only under a guest; and what of the
//! host's file system a guest can and can't use.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::fs::statvfs;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use virtiofs_driver::{Body, Client, Daemon, FileOffset, GuestSpan, Handle, NodeId, Vm};

use crate::fault::{Fault, Setting};
use crate::host::{Mounted, Small};
use crate::model::{RANGE, Slot};
use crate::rig::{self, RigOptions};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("host_share::a_directory_that_is_replaced", replaced),
    Fault::new("host_share::a_mount_that_is_taken_away", taken_away),
    Fault::new("host_share::a_mount_that_becomes_read_only", read_only),
    Fault::new("host_share::a_copy_shares_its_blocks", copied),
    Fault::new("host_share::what_virtiofsd_s_library_lacks", lacking),
];

const SMALL: u64 = 16 << 20;
/// FUSE_TMPFILE and FUSE_STATX of `linux/fuse.h`.
const TMPFILE: u32 = 51;
const STATX: u32 = 52;

struct Guest {
    client: Client,
    _vm: Vm,
    _daemon: Daemon,
}

impl Guest {
    fn start(setting: &Setting, share: &Path) -> Result<Self> {
        let options = RigOptions::on(share);
        let daemon = rig::daemon(setting, &options)?;
        let (client, vm) = rig::guest(&daemon, &options)?;
        Ok(Self {
            client,
            _vm: vm,
            _daemon: daemon,
        })
    }

    fn open(&mut self, name: &str, flags: i32) -> Result<(NodeId, Handle)> {
        let node = self.client.node(name)?;
        Ok((node, Handle(self.client.open(node, flags)?.fh)))
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let (node, handle) = self.open(name, libc::O_RDONLY)?;
        let read = self.client.read_vec(node, handle, FileOffset(0), 100)?;
        self.client.release(node, handle)?;
        Ok(read)
    }

    /// The errno of a new file, 0 for none.
    fn create(&mut self, name: &str) -> Result<i32> {
        let made = self.client.create(NodeId::ROOT, name, libc::O_RDWR, 0o644);
        match rig::outcome(made)? {
            Ok((entry, open)) => {
                self.client.release(NodeId(entry.nodeid), Handle(open.fh))?;
                Ok(0)
            }
            Err(errno) => Ok(errno),
        }
    }

    /// The errno of a mapping for writing, 0 for none.
    fn map(&mut self, node: NodeId) -> Result<i32> {
        let at = Slot(0).offset();
        let made = self
            .client
            .setup_mapping(node, FileOffset(0), RANGE, at, true);
        Ok(rig::outcome(made)?.err().unwrap_or(0))
    }
}

/// The guest goes on with the directory that was shared, whatever has its path.
fn replaced(setting: &Setting) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [share, old] = ["share", "old"].map(|name| folder.path().join(name));
    fs::create_dir(&share)?;
    fs::write(share.join("file"), "old")?;
    let mut guest = Guest::start(setting, &share)?;
    let (node, handle) = guest.open("file", libc::O_RDWR)?;
    ensure!(guest.map(node)? == 0);
    fs::rename(&share, &old)?;
    fs::create_dir(&share)?;
    fs::write(share.join("file"), "new")?;
    fs::write(share.join("other"), "new")?;
    for _ in 0..2 {
        ensure!(guest.read("file")? == b"old");
        let other = rig::outcome(guest.client.node("other"))?;
        ensure!(other == Err(libc::ENOENT), "other: {other:?}");
        guest
            .client
            .write_slice(node, handle, FileOffset(0), b"OLD")?;
        ensure!(fs::read(old.join("file"))? == b"OLD");
        guest
            .client
            .write_slice(node, handle, FileOffset(0), b"old")?;
        // Also when the directory itself is gone from its new place.
        fs::rename(&old, folder.path().join("older"))?;
        fs::rename(folder.path().join("older"), &old)?;
    }
    ensure!(fs::read(share.join("file"))? == b"new");
    Ok(())
}

/// The daemon keeps the file system. What is mounted there later is not the guest's.
fn taken_away(setting: &Setting) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let share = folder.path().join("share");
    fs::create_dir(&share)?;
    fs::write(share.join("below"), "below")?;
    let first = Mounted::new("tmpfs", share.clone(), "")?;
    fs::write(share.join("file"), "content")?;
    let mut guest = Guest::start(setting, &share)?;
    let (node, _) = guest.open("file", libc::O_RDWR)?;
    ensure!(guest.map(node)? == 0);
    unmount(&share, UnmountFlags::DETACH)?;
    std::mem::forget(first);
    ensure!(fs::exists(share.join("below"))?, "it is still mounted");
    let keeps = |guest: &mut Guest| {
        ensure!(guest.read("file")? == b"content");
        let below = rig::outcome(guest.client.node("below"))?;
        ensure!(below == Err(libc::ENOENT), "below: {below:?}");
        ensure!(guest.create("new")? == 0);
        guest.client.unlink(NodeId::ROOT, "new")?;
        Ok(())
    };
    keeps(&mut guest).context("without a mount")?;
    let _second = Mounted::new("tmpfs", share.clone(), "")?;
    fs::write(share.join("below"), "another")?;
    keeps(&mut guest).context("with another mount")
}

/// Changes are refused while the file system is read-only, and go on afterwards.
fn read_only(setting: &Setting) -> Result<()> {
    let small = Small::mount(SMALL)?;
    let share = small.share();
    fs::write(share.join("file"), "content")?;
    let mut guest = Guest::start(setting, &share)?;
    ensure!(guest.create("before")? == 0);
    let remount = |flags| mount_remount(&share, flags | MountFlags::NOSUID | MountFlags::NODEV, "");
    for round in 0..2 {
        remount(MountFlags::RDONLY).context("no file of it is open for writing")?;
        ensure!(guest.create("new")? == libc::EROFS);
        let node = guest.client.node("file")?;
        let opened = rig::outcome(guest.client.open(node, libc::O_RDWR))?;
        ensure!(opened.err() == Some(libc::EROFS));
        ensure!(guest.map(node)? != 0, "a mapping for writing");
        ensure!(guest.read("file")? == b"content");
        remount(MountFlags::empty())?;
        ensure!(guest.create(&format!("after{round}"))? == 0);
        let (node, handle) = guest.open("file", libc::O_RDWR)?;
        guest
            .client
            .write_slice(node, handle, FileOffset(0), b"content")?;
        guest.client.release(node, handle)?;
    }
    Ok(())
}

/// COPY_FILE_RANGE lets the host's file system share blocks, as `cp` of a guest does.
fn copied(setting: &Setting) -> Result<()> {
    const LEN: u64 = 32 << 20;
    let folder = tempfile::tempdir()?;
    let (image, share) = (folder.path().join("image"), folder.path().join("share"));
    fs::File::create(&image)?.set_len(1 << 30)?;
    fs::create_dir(&share)?;
    run(Command::new("mkfs.btrfs").arg("-q").arg(&image))?;
    run(Command::new("mount")
        .args(["-o", "loop"])
        .args([&image, &share]))?;
    let _mounted = Unmount(&share);
    fs::write(share.join("from"), vec![7; LEN as usize])?;
    fs::write(share.join("to"), "")?;
    run(Command::new("sync").arg("-f").arg(&share))?;
    let free = || anyhow::Ok(statvfs(&share)?.f_bavail * statvfs(&share)?.f_frsize);
    let before = free()?;
    let mut guest = Guest::start(setting, &share)?;
    let (from, from_handle) = guest.open("from", libc::O_RDONLY)?;
    let (to, to_handle) = guest.open("to", libc::O_RDWR)?;
    let mut done = 0;
    while done < LEN {
        let at = FileOffset(done);
        let (source, target) = ((from, from_handle, at), (to, to_handle, at));
        let copied = guest.client.copy_file_range(source, target, LEN - done)?;
        ensure!(copied > 0, "nothing is copied at {done}");
        done += u64::from(copied);
    }
    guest.client.fsync(to, to_handle, false)?;
    ensure!(fs::read(share.join("to"))? == vec![7; LEN as usize]);
    let used = before.saturating_sub(free()?);
    ensure!(used < LEN / 4, "the copy takes {used} bytes");
    Ok(())
}

/// A guest's open(O_TMPFILE) and the creation time of its statx(2).
fn lacking(setting: &Setting) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut guest = Guest::start(setting, folder.path())?;
    for opcode in [TMPFILE, STATX] {
        let message = [0; 32];
        let body = Body::raw(opcode, &message, GuestSpan::default());
        let answer = rig::outcome(guest.client.call(NodeId::ROOT, body))?;
        ensure!(answer.err() == Some(libc::ENOSYS), "operation {opcode}");
    }
    Ok(())
}

/// A mount that is taken away at the end.
struct Unmount<'a>(&'a Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.0, UnmountFlags::DETACH) {
            log::warn!("{} stays mounted: {error}", self.0.display());
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(())
}
