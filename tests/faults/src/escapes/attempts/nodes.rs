// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Nodes that the daemon doesn't know.

use anyhow::Result;
use virtiofs_driver::{FileOffset, NodeId};

use crate::escapes::ground::SHARED;
use crate::escapes::site::Site;

/// Node IDs that the daemon has not given out.
pub fn unknown(site: &mut Site) -> Result<()> {
    let last = site.node("dir/inner/file")?;
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
pub fn forgotten(site: &mut Site) -> Result<()> {
    let node = site.node("other")?;
    site.client.forget(node, 1)?;
    never_given(site, "that was forgotten", node);
    let node = site.node("file")?;
    site.client.forget(node, u64::MAX)?;
    never_given(site, "forgotten too often", node);
    site.client.forget(NodeId::ROOT, u64::MAX)?;
    let done = site.client.getattr(NodeId::ROOT, None);
    site.harmless("GETATTR of the root, forgotten", done);
    site.still_holds("file", SHARED)
}
