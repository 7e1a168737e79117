// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon that does not end.
//!
//! A system call of the daemon may wait in the kernel (state D) for a file system of the host that
//! never answers: a FUSE server that hangs, NFS mounted "hard", a disk. No signal ends such a
//! thread, and its process keeps all descriptors open until then.

use std::fs;

use log::{error, warn};
use nix::sys::signal::{Signal, kill as signal};
use nix::unistd::Pid;

/// Kills the process that serves. The daemon then ends, unless the kernel keeps that process.
pub(super) fn kill_serving(daemon: Pid) {
    let serving = innermost(daemon);
    warn!("process {serving} takes too long to end, and is killed");
    kill(serving);
}

/// Logs that the serving process is left behind, and kills the process that waits for it, if there
/// is one.
pub(super) fn leave_behind(daemon: Pid) {
    let serving = innermost(daemon);
    error!(
        "process {serving} can't be killed: the kernel waits in it for a file system of the host that \
         does not answer. All else of the daemon ends, and a new one can start. The process goes when \
         the file system answers or is aborted (umount -f, or /sys/fs/fuse/connections/N/abort)"
    );
    if serving != daemon {
        kill(daemon);
    }
}

fn kill(process: Pid) {
    // Fails if the process has ended.
    let _ = signal(process, Signal::SIGKILL);
}

/// The process that serves: virtiofsd's inner process, if there is an outer one.
fn innermost(mut process: Pid) -> Pid {
    while let Some(child) = child_of(process) {
        process = child;
    }
    process
}

/// A child of `process`, if it has one.
fn child_of(process: Pid) -> Option<Pid> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    let child = list.split_whitespace().next()?.parse().ok()?;
    Some(Pid::from_raw(child))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_innermost_process_is_found() {
        let mut outer = Command::new("sh")
            .args(["-c", "read line; sleep 1000 & wait; exit 0"])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(outer.id().cast_signed());
        assert_eq!(innermost(pid), pid);
        drop(outer.stdin.take());
        let inner = loop {
            match child_of(pid) {
                Some(child) => break child,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(innermost(pid), inner);
        // The shell waits for it, as virtiofsd's outer process does.
        kill_serving(pid);
        assert!(outer.wait().unwrap().success());
    }
}
