// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Special files, where an open on the host would block or reach a device; directories; and files
//! that may only be read. QEMU does not enforce that, so a mapping of such a file could be written.

use anyhow::Result;
use virtiofs_driver::{Body, FileOffset, FuseError, Handle, NodeId, WindowOffset};

use crate::escapes::fixture::SHARED;
use crate::escapes::site::Site;

/// Special files of the host, and those that the guest makes.
pub fn special(site: &mut Site) -> Result<()> {
    for name in ["fifo", "char", "block", "socket"] {
        let node = site.client.node(name)?;
        refused(site, name, node);
    }
    let null = 0x103;
    for (what, mode) in [("char", libc::S_IFCHR), ("fifo", libc::S_IFIFO)] {
        let name = format!("made-{what}");
        let made = site.client.mknod(NodeId::ROOT, &name, mode | 0o666, null)?;
        refused(
            site,
            &format!("{what} that the guest made"),
            NodeId(made.nodeid),
        );
    }
    Ok(())
}

fn refused(site: &mut Site, what: &str, node: NodeId) {
    let done = site.client.open(node, libc::O_RDONLY);
    site.refused(&format!("OPEN of a {what}"), done);
    let done = site.client.open(node, libc::O_RDWR | libc::O_NONBLOCK);
    site.refused(&format!("OPEN of a {what}, to write"), done);
    let done = site.client.truncate(node, None, FileOffset(0));
    site.refused(&format!("SETATTR of the size of a {what}"), done);
    let done = site.client.opendir(node);
    site.refused(&format!("OPENDIR of a {what}"), done);
    let done = site.map(node, false);
    site.refused(&format!("SETUPMAPPING of a {what}"), done);
    let done = site.map(node, true);
    site.refused(&format!("SETUPMAPPING of a {what}, to write"), done);
}

/// Requests for files, made on directories.
pub fn directories(site: &mut Site) -> Result<()> {
    let dir = site.client.node("dir")?;
    let opened = Handle(site.client.opendir(dir)?.fh);
    let done = site.map(dir, false);
    site.refused("SETUPMAPPING of a directory", done);
    let done = site.map(dir, true);
    site.refused("SETUPMAPPING of a directory, to write", done);
    let done = site.map(NodeId::ROOT, true);
    site.refused("SETUPMAPPING of the root", done);
    let done = site.client.open(dir, libc::O_RDWR);
    site.refused("OPEN of a directory, to write", done);
    let done = site.client.truncate(dir, None, FileOffset(0));
    site.refused("SETATTR of a directory's size", done);
    let done = site.client.read_vec(dir, opened, FileOffset(0), 4096);
    site.refused("READ of a directory", done);
    let done = site.client.write_slice(dir, opened, FileOffset(0), b"!");
    site.refused("WRITE of a directory", done);
    let done = site.client.fallocate(dir, opened, 0, FileOffset(0), 4096);
    site.refused("FALLOCATE of a directory", done);
    let done = site.client.link(dir, NodeId::ROOT, "dir-again");
    site.refused("LINK of a directory", done);
    Ok(())
}

/// The daemon itself may only read the file.
pub fn read_only_by_mount(site: &mut Site) -> Result<()> {
    let node = site.client.node("locked/file")?;
    let done = site.client.open(node, libc::O_RDWR);
    site.refused("OPEN to write, on a read-only mount", done);
    let handle = Handle(site.client.open(node, libc::O_RDONLY)?.fh);
    written(site, "on a read-only mount", node, handle);
    let done = site.client.truncate(node, None, FileOffset(0));
    site.refused("SETATTR of the size, on a read-only mount", done);
    let done = site.map(node, false);
    site.refused("SETUPMAPPING to read, on a read-only mount", done);
    let done = site.map(node, true);
    site.refused("SETUPMAPPING to write, on a read-only mount", done);
    let done = map_by(site, node, handle);
    site.refused("SETUPMAPPING by a handle, on a read-only mount", done);
    site.still_holds("locked/file", SHARED)
}

/// The daemon could write to the file, but this handle is for reading.
pub fn read_only_by_opening(site: &mut Site) -> Result<()> {
    let node = site.client.node("read-only")?;
    let handle = Handle(site.client.open(node, libc::O_RDONLY)?.fh);
    written(site, "opened to read", node, handle);
    site.still_holds("read-only", SHARED)
}

fn written(site: &mut Site, what: &str, node: NodeId, handle: Handle) {
    let start = FileOffset(0);
    let done = site.client.write_slice(node, handle, start, b"!");
    site.refused(&format!("WRITE of a file {what}"), done);
    let done = site.client.fallocate(node, handle, 0, start, 1 << 20);
    site.refused(&format!("FALLOCATE of a file {what}"), done);
    let done = site.client.truncate(node, Some(handle), start);
    site.refused(&format!("SETATTR of the size of a file {what}"), done);
}

/// SETUPMAPPING with the handle of an open file, which Linux does not send.
fn map_by(site: &mut Site, node: NodeId, handle: Handle) -> Result<(), FuseError> {
    let (from, at) = (FileOffset(0), WindowOffset(0));
    let body = Body::setup_mapping_by(handle, from, 2 << 20, at, true);
    site.client.call(node, body).map(drop)
}
