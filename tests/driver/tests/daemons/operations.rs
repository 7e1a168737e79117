// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Each operation once, and its effect on the host.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use anyhow::Result;
use virtiofs_driver::fuse::{SetattrIn, SetattrValid, expect_errno};
use virtiofs_driver::{Body, Client, FileOffset, Handle, NodeId, QueueIndex, Reply};

use crate::rig::on_all;

const ROOT: NodeId = NodeId::ROOT;

#[test]
fn names() -> Result<()> {
    on_all(&["--xattr"], |rig| {
        let (client, share) = (&mut rig.client, rig.daemon.share());
        let dir = NodeId(client.mkdir(ROOT, "dir", 0o755)?.nodeid);
        client.mknod(dir, "fifo", libc::S_IFIFO | 0o600, 0)?;
        assert!(share.join("dir/fifo").metadata()?.file_type().is_fifo());
        let link = NodeId(client.symlink(dir, "link", "to/nowhere")?.nodeid);
        assert_eq!(client.readlink(link)?, b"to/nowhere");
        let fifo = client.node("dir/fifo")?;
        assert_eq!(client.link(fifo, ROOT, "again")?.attr.nlink, 2);
        client.rename((ROOT, "again"), (dir, "other"))?;
        client.rename2((dir, "other"), (dir, "link"), libc::RENAME_EXCHANGE)?;
        assert!(share.join("dir/link").metadata()?.file_type().is_fifo());
        expect_errno(client.rmdir(ROOT, "dir"), libc::ENOTEMPTY, "not empty")?;
        for name in ["fifo", "link", "other"] {
            client.unlink(dir, name)?;
        }
        client.rmdir(ROOT, "dir")?;
        assert_eq!(fs::read_dir(share)?.count(), 0);
        Ok(())
    })
}

#[test]
fn attributes() -> Result<()> {
    on_all(&["--xattr"], |rig| {
        let (node, handle) = rig.file("file", b"content")?;
        let (client, file) = (&mut rig.client, rig.daemon.share().join("file"));
        assert_eq!(client.truncate(node, Some(handle), FileOffset(3))?.size, 3);
        assert_eq!(client.truncate(node, None, FileOffset(2))?.size, 2);
        let args = SetattrIn {
            valid: (SetattrValid::MODE | SetattrValid::MTIME).bits(),
            mode: 0o640,
            mtime: 1_000_000,
            ..SetattrIn::default()
        };
        client.setattr(node, args)?;
        let metadata = file.metadata()?;
        assert_eq!(
            (metadata.mode() & 0o777, metadata.mtime()),
            (0o640, 1_000_000)
        );
        client.access(node, libc::R_OK)?;
        assert!(client.statfs(ROOT)?.blocks > 0);
        client.setxattr(node, "user.name", b"value", 0)?;
        assert_eq!(client.getxattr(node, "user.name")?, b"value");
        let list = client.listxattr(node)?;
        assert!(
            list.split(|byte| *byte == 0)
                .any(|name| name == b"user.name")
        );
        let into = virtiofs_driver::GuestSpan::default();
        let size = client.call(node, Body::getxattr("user.name", into))?;
        assert!(matches!(size, Reply::Size(5)), "{size:?}");
        client.removexattr(node, "user.name")?;
        expect_errno(client.getxattr(node, "user.name"), libc::ENODATA, "removed")?;
        Ok(())
    })
}

#[test]
fn open_files() -> Result<()> {
    on_all(&["--xattr"], |rig| {
        let (node, handle) = rig.file("file", b"content")?;
        let (client, share) = (&mut rig.client, rig.daemon.share());
        client.fallocate(node, handle, 0, FileOffset(4096), 4096)?;
        assert_eq!(client.getattr(node, Some(handle))?.size, 8192);
        let end = client.lseek(node, handle, FileOffset(0), libc::SEEK_END);
        // Linux asks only for SEEK_DATA and SEEK_HOLE, so a daemon may support only these.
        assert!(end.is_ok_and(|end| end.0 == 8192));
        let (other, to) = client.create(ROOT, "copy", libc::O_RDWR, 0o600)?;
        let to = (NodeId(other.nodeid), Handle(to.fh), FileOffset(0));
        let copied = client.copy_file_range((node, handle, FileOffset(0)), to, 7)?;
        assert_eq!(copied, 7);
        assert_eq!(fs::read(share.join("copy"))?, b"content");
        client.flush(node, handle)?;
        client.fsync(node, handle, true)?;
        client.fsync(node, handle, false)?;
        client.release(node, handle)?;
        expect_errno(
            client.read_vec(node, handle, FileOffset(0), 1),
            libc::EBADF,
            "closed",
        )?;
        Ok(())
    })
}

#[test]
fn directories() -> Result<()> {
    on_all(&["--xattr"], |rig| {
        let (client, share) = (&mut rig.client, rig.daemon.share());
        let mut expected: Vec<_> = (0..50).map(|number| format!("name-{number}")).collect();
        for name in &expected {
            fs::write(share.join(name), name)?;
        }
        expected.sort();
        let handle = Handle(client.opendir(ROOT)?.fh);
        let plain = all_names(|offset| Ok(client.readdir(ROOT, handle, offset, 1024)?))?;
        assert_eq!(plain, expected);
        let mut nodes = Vec::new();
        let plus = all_names(|offset| {
            let entries = client.readdirplus(ROOT, handle, offset, 4096)?;
            let known = entries
                .iter()
                .filter_map(|one| one.entry.map(|entry| entry.nodeid));
            nodes.extend(
                known
                    .filter(|node| *node != 0)
                    .map(|node| (NodeId(node), 1)),
            );
            Ok(entries)
        })?;
        assert_eq!((plus, nodes.len()), (expected, 50));
        client.fsyncdir(ROOT, handle)?;
        client.releasedir(ROOT, handle)?;
        client.getattr(nodes[0].0, None)?;
        client.batch_forget(&nodes)?;
        expect_errno(client.getattr(nodes[0].0, None), libc::EBADF, "forgotten")?;
        Ok(())
    })
}

/// The names of all entries but `.` and `..`, in order.
fn all_names(
    mut read: impl FnMut(FileOffset) -> Result<Vec<virtiofs_driver::fuse::DirectoryEntry>>,
) -> Result<Vec<String>> {
    let (mut names, mut next) = (Vec::new(), FileOffset(0));
    loop {
        let entries = read(next)?;
        let Some(last) = entries.last() else {
            break;
        };
        next = last.next;
        names.extend(
            entries
                .into_iter()
                .map(|entry| String::from_utf8_lossy(&entry.name).into()),
        );
    }
    names.retain(|name| name != "." && name != "..");
    names.sort();
    Ok(names)
}

#[test]
fn a_forget_needs_no_reply_on_either_queue() -> Result<()> {
    on_all(&["--xattr"], |rig| {
        let (node, _) = rig.file("file", b"content")?;
        let mut urgent = Client::new(&mut rig.vm, QueueIndex::HIGH_PRIORITY)?;
        rig.client.lookup(ROOT, "file")?;
        rig.client.forget(node, 1)?;
        rig.client.getattr(node, None)?;
        urgent.forget(node, 1)?;
        expect_errno(rig.client.getattr(node, None), libc::EBADF, "forgotten")?;
        Ok(())
    })
}

#[test]
fn what_is_unknown_is_refused_by_the_daemon() -> Result<()> {
    on_all(&["--xattr"], |rig| {
        let into = virtiofs_driver::GuestSpan::default();
        let raw = Body::raw(4242, &[1, 2, 3], into);
        expect_errno(rig.client.call(ROOT, raw), libc::ENOSYS, "unknown")?;
        Ok(())
    })
}
