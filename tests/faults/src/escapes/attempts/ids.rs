// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Handles and nodes that the daemon does not know, or that belong to another inode.

use anyhow::Result;
use virtiofs_driver::{FileOffset, Handle, NodeId};

use crate::escapes::fixture::SHARED;
use crate::escapes::site::Site;

/// Uses a node with the handle of another file, with that of a directory, and with handles that do
/// not exist.
pub fn foreign_handles(site: &mut Site) -> Result<()> {
    let other = site.client.node("other")?;
    let others = Handle(site.client.open(other, libc::O_RDWR)?.fh);
    let dir = site.client.node("dir")?;
    let dirs = Handle(site.client.opendir(dir)?.fh);
    foreign(site, "of other", others)?;
    foreign(site, "of a directory", dirs)?;
    foreign(site, "never given", Handle(others.0 + 1000))?;
    foreign(site, "2^64 - 1", Handle(u64::MAX))?;
    let done = site.client.readdir(dir, others, FileOffset(0), 4096);
    site.refused("READDIR by the handle of a file", done);
    site.still_holds("other", SHARED)?;
    site.still_holds("file", SHARED)
}

/// Makes all requests about `file` that take a handle. A request that is served changes the file's
/// first byte.
pub fn foreign(site: &mut Site, what: &str, handle: Handle) -> Result<()> {
    let node = site.client.node("file")?;
    let (start, len) = (FileOffset(0), 4096);
    let done = site.client.read_vec(node, handle, start, len);
    site.refused(&format!("READ of file by the handle {what}"), done);
    let done = site.client.write_slice(node, handle, start, b"!");
    site.refused(&format!("WRITE of file by the handle {what}"), done);
    let done = site.client.fsync(node, handle, false);
    site.refused(&format!("FSYNC of file by the handle {what}"), done);
    let done = site.client.fallocate(node, handle, 0, start, 1 << 20);
    site.refused(&format!("FALLOCATE of file by the handle {what}"), done);
    let done = site.client.truncate(node, Some(handle), start);
    site.refused(&format!("SETATTR of file by the handle {what}"), done);
    let done = site.client.release(node, handle);
    site.harmless(&format!("RELEASE of file by the handle {what}"), done);
    Ok(())
}

/// Node IDs that the daemon has not given out.
pub fn unknown_nodes(site: &mut Site) -> Result<()> {
    let last = site.client.node("dir/inner/file")?;
    for (what, node) in [
        ("0", 0),
        ("the next", last.0 + 1),
        ("2^32", 1 << 32),
        ("2^64 - 1", u64::MAX),
    ] {
        never_given(site, what, NodeId(node));
    }
    site.still_holds("file", SHARED)
}

/// Makes all requests about a node.
pub fn never_given(site: &mut Site, what: &str, node: NodeId) {
    let done = site.client.getattr(node, None);
    site.refused(&format!("GETATTR of node {what}"), done);
    let done = site.client.lookup(node, "file");
    site.refused(&format!("LOOKUP in node {what}"), done);
    let done = site.client.open(node, libc::O_RDWR);
    site.refused(&format!("OPEN of node {what}"), done);
    let done = site.client.opendir(node);
    site.refused(&format!("OPENDIR of node {what}"), done);
    let done = site.client.truncate(node, None, FileOffset(0));
    site.refused(&format!("SETATTR of node {what}"), done);
    let done = site.client.readlink(node);
    site.refused(&format!("READLINK of node {what}"), done);
    let done = site.client.create(node, "made", libc::O_RDWR, 0o644);
    site.refused(&format!("CREATE in node {what}"), done);
    let done = site.client.unlink(node, "file");
    site.refused(&format!("UNLINK in node {what}"), done);
    let done = site
        .client
        .link(node, NodeId::ROOT, &format!("link-{}", node.0));
    site.refused(&format!("LINK of node {what}"), done);
    let done = site.map(node, true);
    site.refused(&format!("SETUPMAPPING of node {what}"), done);
}

/// A node that was given out and forgotten.
pub fn forgotten_nodes(site: &mut Site) -> Result<()> {
    let node = site.client.node("other")?;
    site.client.forget(node, 1)?;
    never_given(site, "that was forgotten", node);
    let node = site.client.node("file")?;
    site.client.forget(node, u64::MAX)?;
    never_given(site, "forgotten too often", node);
    site.client.forget(NodeId::ROOT, u64::MAX)?;
    let done = site.client.getattr(NodeId::ROOT, None);
    site.harmless("GETATTR of the root, forgotten", done);
    site.still_holds("file", SHARED)
}
