// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Child processes: for work that a signal may end, and to have a worker's mappings twice.

use std::io;

use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// A child that does nothing; it is killed on drop.
struct Idle(libc::pid_t);

impl Drop for Idle {
    fn drop(&mut self) {
        // SAFETY: the child is ours, and not reaped yet.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        if let Err(fault) = reap(self.0) {
            eprintln!("guest-agent: {fault}");
        }
    }
}

/// Starts a child that has all mappings and files of the worker, and keeps it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fork {
    pub name: String,
}

impl Op for Fork {
    const NAME: &'static str = "fork";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        // SAFETY: a worker has one thread, so the child can go on as the parent would.
        match unsafe { libc::fork() } {
            -1 => Err(Fault::of("forking")(io::Error::last_os_error())),
            0 => loop {
                // SAFETY: it takes no argument. With its parent the child ends, too.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::pause();
                }
            },
            child => {
                handles.keep(&self.name, Idle(child));
                Ok(())
            }
        }
    }
}

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
