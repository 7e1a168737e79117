// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Work that a signal may end.

use std::io;

use crate::worker::Fault;

/// Does `work` in a child process. The inner error says how the child ended: `signal-7`, or `exit-1`
/// if `work` returned false.
///
/// # Errors
///
/// If there can't be a child.
pub(super) fn in_child(work: impl FnOnce() -> bool) -> Result<Result<(), String>, Fault> {
    // SAFETY: a worker has one thread, so the child can go on as the parent would.
    match unsafe { libc::fork() } {
        -1 => Err(Fault::of("forking")(io::Error::last_os_error())),
        0 => {
            let status = i32::from(!work());
            // SAFETY: ends the child at once, without running the parent's destructors.
            unsafe { libc::_exit(status) }
        }
        child => reap(child),
    }
}

fn reap(child: libc::pid_t) -> Result<Result<(), String>, Fault> {
    let mut status = 0;
    // SAFETY: `status` is writable and `child` is ours.
    if unsafe { libc::waitpid(child, &mut status, 0) } != child {
        let error = io::Error::last_os_error();
        return Err(Fault::of("waiting for a child")(error));
    }
    if libc::WIFSIGNALED(status) {
        return Ok(Err(format!("signal-{}", libc::WTERMSIG(status))));
    }
    Ok(match libc::WEXITSTATUS(status) {
        0 => Ok(()),
        code => Err(format!("exit-{code}")),
    })
}
