// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Making one view of a file, as the daemon does: with a process of its own for the server.

use shared_window::{ViewError, ViewService};

/// Forks a server of views, opens a view of a file in memory, and ends the server.
///
/// To be called while this process has one thread only.
///
/// # Errors
///
/// The reason why this host makes no views, with what to do about it.
pub fn try_view() -> Result<(), ViewError> {
    let (starting, server) = ViewService::prepare()?;
    // SAFETY: the caller has no other thread, so no lock is held by one that is missing in the
    // child, and the child may do whatever this process could.
    match unsafe { libc::fork() } {
        -1 => Err(ViewError::System {
            what: "fork",
            source: std::io::Error::last_os_error(),
        }),
        0 => {
            drop(starting);
            // The parent tells what went wrong, and the end of the view says nothing new.
            log::set_max_level(log::LevelFilter::Off);
            let served = server.serve_until_closed();
            // SAFETY: ends the child at once; none of the parent's destructors may run here.
            unsafe { libc::_exit(i32::from(served.is_err())) }
        }
        child => {
            drop(server);
            // `wait_ready` opens a view to be sure; its end closes the socket, and with that the
            // server ends.
            let ready = starting.wait_ready().map(drop);
            if let Some(child) = rustix::process::Pid::from_raw(child) {
                let options = rustix::process::WaitOptions::empty();
                if let Err(error) = rustix::process::waitpid(Some(child), options) {
                    log::warn!("the server of views can't be waited for: {error}");
                }
            }
            ready
        }
    }
}
