// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Special files: an open on the host would block, or reach a device.

use anyhow::Result;
use virtiofs_driver::{FileOffset, Handle, NodeId};

use crate::escapes::site::Site;

/// Special files of the host, and those that the guest makes.
pub fn files(site: &mut Site) -> Result<()> {
    for name in ["fifo", "char", "block", "socket"] {
        let node = site.node(name)?;
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
    let dir = site.node("dir")?;
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
