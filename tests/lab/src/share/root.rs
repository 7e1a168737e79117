// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--root`: a directory of the host as the guest's root.
//!
//! ```text
//! /newroot  an overlay: /lower below, what is written in /upper
//! /lower    the directory, shared so that it may only be read
//! /upper    memory
//! ```

use std::path::PathBuf;

use anyhow::{Context, Result};
use qemu_guest::vm::Vm;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::{Dax, Share};

/// The module of the overlay file system.
pub const MODULE: &str = "overlay";
/// The root's mount point in the guest.
pub const BASE: &str = "/newroot";

/// The tag of the root's share.
pub const TAG: &str = "daxlab-root";
const LOWER: &str = "/lower";
const UPPER: &str = "/upper";
/// A host's own file systems of these kinds say nothing in the guest, and its sockets lead nowhere.
const OWN: [(&str, &str, &str); 4] = [
    ("proc", "proc", ""),
    ("sysfs", "sys", ""),
    ("tmpfs", "tmp", "mode=1777"),
    ("tmpfs", "run", "mode=0755"),
];
/// The shells that a person may like, the best first.
const SHELLS: [&str; 2] = ["bin/bash", "bin/sh"];
/// Prompts show it.
const HOST_NAME: &str = "guest";

/// The share of the guest's root.
#[derive(Clone, Debug)]
pub struct RootShare {
    /// The share. It may only be read.
    pub share: Share,
}

impl RootShare {
    /// The directory `dir`, through a window of this size for the files that `dax` names.
    pub fn new(dir: PathBuf, window: Option<ByteSize>, dax: Dax) -> Self {
        let tag = TAG.parse().expect("the tag is a constant");
        let plain = Share {
            read_only: true,
            // An overlay can't look below the mount points of its lower file system.
            extra: vec!["--no-announce-submounts".into()],
            ..Share::new(dir, tag)
        };
        Self {
            share: match window {
                Some(size) => Share {
                    dax,
                    ..plain.with_window(size)
                },
                None => plain,
            },
        }
    }

    /// The shell for a person.
    pub fn shell(&self) -> String {
        let there = |shell: &&&str| self.share.dir.join(shell).exists();
        let shell = SHELLS.iter().find(there).unwrap_or(&"bin/sh");
        format!("/{shell}")
    }

    /// Puts the root together at [`BASE`].
    ///
    /// # Errors
    ///
    /// If the guest can't, with the reason.
    pub async fn set_up(&self, vm: &Vm) -> Result<()> {
        self.try_set_up(vm).await.with_context(|| {
            let dir = self.share.dir.display();
            format!("the guest can't make {dir} its root")
        })
    }

    async fn try_set_up(&self, vm: &Vm) -> Result<()> {
        let agent = vm.agent();
        let dax = self.share.window.map_or("dax=never", |_| "dax=inode");
        vm.mount(TAG, LOWER, &format!("ro,{dax}")).await?;
        agent.mount("tmpfs", UPPER, "tmpfs", "mode=0755").await?;
        let (files, work) = (format!("{UPPER}/files"), format!("{UPPER}/work"));
        agent.check(["mkdir", &files, &work]).await?;
        let layers = format!("lowerdir={LOWER},upperdir={files},workdir={work}");
        agent.mount("overlay", BASE, "overlay", &layers).await?;
        for (fstype, target, options) in OWN {
            let target = format!("{BASE}/{target}");
            agent.mount(fstype, &target, fstype, options).await?;
        }
        // The agent's terminals are in its own /dev/pts.
        let dev = format!("{BASE}/dev");
        agent.check(["mount", "-o", "rbind", "/dev", &dev]).await?;
        let shm = format!("{dev}/shm");
        agent.mount("tmpfs", &shm, "tmpfs", "mode=1777").await?;
        agent.check(["hostname", HOST_NAME]).await?;
        Ok(())
    }
}
