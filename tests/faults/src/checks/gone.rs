// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Nothing of a daemon is left: no process, no socket or pid file, no mount.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::Daemon;

/// Checks that nothing is left of a daemon that has ended.
pub fn nothing_is_left(daemon: &Daemon) -> Result<()> {
    // A zombie, which init has not reaped yet, does not count.
    let processes = daemon.processes();
    ensure!(processes.is_empty(), "processes are left: {processes:?}");
    let socket = daemon.socket();
    let folder = socket.parent().context("the socket's folder")?;
    no_file_is_left(folder)?;
    no_mount_is_left(folder)
}

/// Checks that only the rig's own files are in the folder.
fn no_file_is_left(folder: &Path) -> Result<()> {
    let mut left = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name != "share" && name != "log" {
            left.push(name);
        }
    }
    ensure!(left.is_empty(), "files are left: {left:?}");
    Ok(())
}

/// Checks that this mount namespace has no mount at or below a folder.
pub fn no_mount_is_left(folder: &Path) -> Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let folder = folder.to_string_lossy();
    let left: Vec<_> = table
        .lines()
        .filter(|line| line.contains(&*folder))
        .collect();
    ensure!(left.is_empty(), "mounts are left: {left:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{no_file_is_left, no_mount_is_left};

    #[test]
    fn a_socket_that_is_left_is_found() {
        let folder = tempfile::tempdir().expect("a directory");
        fs::create_dir(folder.path().join("share")).expect("a directory");
        no_file_is_left(folder.path()).expect("nothing is left");
        fs::write(folder.path().join("sock.pid"), "1\n").expect("a file");
        assert!(no_file_is_left(folder.path()).is_err());
    }

    #[test]
    fn a_mount_that_is_left_is_found() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: a mount needs root");
            return;
        }
        let folder = tempfile::tempdir().expect("a directory");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("none", folder.path(), "tmpfs", flags, None).expect("a mount");
        let found = no_mount_is_left(folder.path());
        rustix::mount::unmount(folder.path(), rustix::mount::UnmountFlags::DETACH)
            .expect("no mount");
        assert!(found.is_err());
        no_mount_is_left(folder.path()).expect("nothing is left");
    }
}
