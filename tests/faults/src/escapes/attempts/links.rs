// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Symbolic links, which the guest follows and never the daemon; and /proc's magic links, which lead
//! to files and not to names, on a host whose operator has mounted a procfs in the share.

use anyhow::Result;
use virtiofs_driver::{FileOffset, NodeId};

use crate::escapes::site::Site;

/// All requests that could follow a link.
pub fn symlinks(site: &mut Site) -> Result<()> {
    for name in ["up", "absolute", "magic", "dangling"] {
        let node = site.client.node(name)?;
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
        let node = site.client.node(name)?;
        let done = site.client.opendir(node);
        site.refused(&format!("OPENDIR of the link {name}"), done);
        let found = site.client.lookup(node, "secret");
        site.refused(&format!("LOOKUP in the link {name}"), found);
        let done = site.client.create(node, "made", libc::O_RDWR, 0o644);
        site.refused(&format!("CREATE in the link {name}"), done);
    }
    Ok(())
}

/// The links of init, of the daemon's processes, and of this process.
pub fn of_proc(site: &mut Site) -> Result<()> {
    let processes = site.daemon.processes();
    let mut pids: Vec<String> = processes
        .iter()
        .map(|process| process.pid.to_string())
        .collect();
    pids.extend([
        "1".to_owned(),
        "self".to_owned(),
        std::process::id().to_string(),
    ]);
    let proc = site.client.node("proc")?;
    let secret = site.fixture.secret();
    let secret = secret.to_string_lossy().into_owned();
    let base = site.fixture.base().to_string_lossy().into_owned();
    let mut seen = Seen::default();
    for pid in &pids {
        step_by_step(site, proc, pid, &mut seen)?;
        at_once(site, proc, &format!("{pid}/root{secret}"), &mut seen)?;
        at_once(site, proc, &format!("{pid}/cwd/secret"), &mut seen)?;
        let made = format!("{pid}/root{base}/made-by-{pid}");
        let done = site.client.mknod(proc, &made, libc::S_IFREG | 0o644, 0);
        let wrong = site.changed().filter(|_| seen.wrong.is_none());
        seen.add(done.is_ok(), wrong);
        at_once(
            site,
            NodeId::ROOT,
            &format!("proc/{pid}/root{secret}"),
            &mut seen,
        )?;
    }
    // The number of processes differs between the two daemons.
    let answer = if seen.served {
        "some served"
    } else {
        "refused"
    };
    let what = "the roots of the daemon's processes and others";
    site.summary(what, answer.to_owned(), seen.wrong);
    Ok(())
}

/// The results of all links together.
#[derive(Default)]
struct Seen {
    served: bool,
    wrong: Option<String>,
}

impl Seen {
    fn add(&mut self, served: bool, wrong: Option<String>) {
        self.served |= served;
        self.wrong = self.wrong.take().or(wrong);
    }
}

/// Walks as a kernel does: a link is a node of its own, with nothing below it.
fn step_by_step(site: &mut Site, proc: NodeId, pid: &str, seen: &mut Seen) -> Result<()> {
    let Ok(process) = site.client.lookup(proc, pid) else {
        seen.add(false, None);
        return Ok(());
    };
    let Ok(root) = site.client.lookup(NodeId(process.nodeid), "root") else {
        seen.add(false, None);
        return Ok(());
    };
    let node = NodeId(root.nodeid);
    let opened = site.client.opendir(node).is_ok();
    let below = site.client.lookup(node, "etc").is_ok();
    let wrong = (opened || below).then(|| format!("the root of {pid} is a directory"));
    seen.add(opened || below, wrong);
    Ok(())
}

/// Looks up one name that is a path through the link.
fn at_once(site: &mut Site, from: NodeId, name: &str, seen: &mut Seen) -> Result<()> {
    let found = site.client.lookup(from, name);
    let wrong = match &found {
        Ok(entry) => site.trespass(entry)?.map(|what| format!("{name}: {what}")),
        Err(_) => None,
    };
    seen.add(found.is_ok(), wrong);
    Ok(())
}
