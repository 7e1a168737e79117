// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A client as confined as a sandboxed daemon: no capability, its own namespaces, an empty root, and
//! the system call filter of virtiofsd, which kills.

use std::io;
use std::os::fd::AsFd;

use libtest_mimic::Failed;
use rustix::thread::UnshareFlags;
use shared_window::{Access, ViewSource};
use virtiofsd::seccomp::{SeccompAction, enable_seccomp};

use crate::processes::{Companion, drop_all_capabilities, fork, open_rw};

/// Runs such a client in a child, and tells how it went.
pub(crate) fn outcome() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("file");
    std::fs::write(&path, [7; 4096])?;
    let file = open_rw(&path)?;
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty)?;
    let companion = Companion::start();
    let client = fork(|| {
        // SAFETY: the process has one thread and shares nothing that its namespaces matter to.
        unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET)?;
        }
        rustix::process::chroot(&empty)?;
        rustix::process::chdir("/")?;
        drop_all_capabilities()?;
        enable_seccomp(SeccompAction::Kill, false).map_err(io::Error::other)?;
        let view = companion
            .client
            .open(file.as_fd(), Access::ReadWrite)
            .map_err(io::Error::other)?;
        let mut read = [0; 4096];
        rustix::io::pread(&view, &mut read, 0)?;
        match read == [7; 4096] {
            true => Ok(()),
            false => Err(io::Error::other("the view shows something else")),
        }
    });
    client.wait()?;
    companion.end()?;
    Ok(())
}
