// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Handles that belong to another inode, or do not exist.

use anyhow::Result;
use virtiofs_driver::{FileOffset, Handle};

use crate::escapes::ground::SHARED;
use crate::escapes::site::Site;

/// Uses a node with the handle of another file, with that of a directory, and with handles that do
/// not exist.
pub fn of_another(site: &mut Site) -> Result<()> {
    let other = site.node("other")?;
    let others = Handle(site.client.open(other, libc::O_RDWR)?.fh);
    let dir = site.node("dir")?;
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
    let node = site.node("file")?;
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
