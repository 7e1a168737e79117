// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Symbolic links: the guest follows them, never the daemon.

use anyhow::Result;
use virtiofs_driver::{FileOffset, NodeId};

use crate::escapes::site::Site;

/// All requests that could follow a link.
pub fn symlinks(site: &mut Site) -> Result<()> {
    for name in ["up", "absolute", "magic", "dangling"] {
        let node = site.node(name)?;
        let done = site.client.open(node, libc::O_RDONLY);
        site.refused(&format!("OPEN of the link {name}"), done);
        let done = site
            .client
            .open(node, libc::O_RDWR | libc::O_TRUNC | libc::O_CREAT);
        site.refused(&format!("OPEN of {name}, to empty or make it"), done);
        let done = site.client.truncate(node, None, FileOffset(0));
        site.refused(&format!("SETATTR of the size of {name}"), done);
        let done = site.map(node, false);
        site.refused(&format!("SETUPMAPPING of {name}"), done);
        let done = site
            .client
            .create(NodeId::ROOT, name, libc::O_RDWR | libc::O_TRUNC, 0o644);
        site.harmless(&format!("CREATE of {name}"), done);
    }
    for name in ["up-dir", "magic-dir"] {
        let node = site.node(name)?;
        let done = site.client.opendir(node);
        site.refused(&format!("OPENDIR of the link {name}"), done);
        let found = site.client.lookup(node, "secret");
        site.refused(&format!("LOOKUP in the link {name}"), found);
        let done = site.client.create(node, "made", libc::O_RDWR, 0o644);
        site.refused(&format!("CREATE in the link {name}"), done);
    }
    Ok(())
}
