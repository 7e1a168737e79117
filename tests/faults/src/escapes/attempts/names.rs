// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Names that do not name a file in their directory.

use anyhow::Result;
use virtiofs_driver::NodeId;

use crate::escapes::site::Site;

/// More levels than the share is deep.
const LEVELS: usize = 8;

/// LOOKUP of `..`, which a guest that exports the file system over NFS sends.
pub fn dot_dot(site: &mut Site) -> Result<()> {
    let found = site.client.lookup(NodeId::ROOT, "..");
    let above = site.inside("LOOKUP of `..` in the root", found)?;
    beneath(site, above, "LOOKUP of secret beneath it")?;
    let mut node = Some(site.client.node("dir/inner")?);
    for level in 1..=LEVELS {
        let Some(from) = node else { break };
        let found = site.client.lookup(from, "..");
        node = site.inside(&format!("`..` of dir/inner, {level} times"), found)?;
    }
    beneath(site, node, "LOOKUP of secret beneath that")
}

fn beneath(site: &mut Site, node: Option<NodeId>, what: &str) -> Result<()> {
    if let Some(node) = node {
        let found = site.client.lookup(node, "secret");
        site.inside(what, found)?;
    }
    Ok(())
}

/// LOOKUP of names that are paths.
pub fn slashes(site: &mut Site) -> Result<()> {
    let secret = site.fixture.secret();
    let secret = secret.to_string_lossy();
    let up = "../".repeat(LEVELS);
    for (what, name) in [
        ("../secret", "../secret"),
        ("dir/../../secret", "dir/../../secret"),
        ("up-dir/secret, by a link", "up-dir/secret"),
        ("the secret's absolute path", &*secret),
        ("the same, by many `..`", &format!("{up}{secret}")),
        ("/", "/"),
        ("..//", "..//"),
        ("dir/file", "dir/file"),
        ("the empty name", ""),
    ] {
        let found = site.client.lookup(NodeId::ROOT, name);
        site.inside(&format!("LOOKUP of {what}"), found)?;
    }
    Ok(())
}

/// All requests that make, move or remove a name, with a name that is outside.
pub fn made_elsewhere(site: &mut Site) -> Result<()> {
    let (top, file) = (NodeId::ROOT, site.client.node("file")?);
    let done = site.client.create(top, "../made", libc::O_RDWR, 0o644);
    site.harmless("CREATE of ../made", done);
    let done = site
        .client
        .create(top, "../secret", libc::O_RDWR | libc::O_TRUNC, 0o644);
    site.harmless("CREATE of ../secret", done);
    let done = site.client.create(top, "dangling", libc::O_RDWR, 0o644);
    site.harmless("CREATE at a link to ../made", done);
    let done = site.client.mknod(top, "../node", libc::S_IFREG | 0o644, 0);
    site.harmless("MKNOD of ../node", done);
    let done = site.client.mkdir(top, "../folder", 0o755);
    site.harmless("MKDIR of ../folder", done);
    let done = site.client.symlink(top, "../link", "file");
    site.harmless("SYMLINK of ../link", done);
    let done = site.client.link(file, top, "../hard");
    site.harmless("LINK of file as ../hard", done);
    let done = site.client.rename((top, "other"), (top, "../other"));
    site.harmless("RENAME of other to ../other", done);
    let done = site.client.rename((top, "../secret"), (top, "got"));
    site.harmless("RENAME of ../secret into the share", done);
    let done = site
        .client
        .rename2((top, "file"), (top, "../secret"), libc::RENAME_EXCHANGE);
    site.harmless("RENAME2, exchange with ../secret", done);
    let done = site.client.unlink(top, "../outside/file");
    site.harmless("UNLINK of ../outside/file", done);
    let done = site.client.rmdir(top, "../outside/empty");
    site.harmless("RMDIR of ../outside/empty", done);
    Ok(())
}
