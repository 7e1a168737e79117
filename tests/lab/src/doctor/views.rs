// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Makes one view of a file as the daemon does, with a separate process for the server.

use shared_window::{ViewError, ViewService};

/// Forks a server of views, opens a view of a memory file, and ends the server.
///
/// May be called only while this process has a single thread.
///
/// # Errors
///
/// The reason why this host can't make views, with the remedy.
pub fn try_view() -> Result<(), ViewError> {
    let (starting, server) = ViewService::prepare()?;
    // SAFETY: the caller has no other thread. So no lock is held by a thread that is missing in the
    // child, and the child may do all that this process could do.
    match unsafe { libc::fork() } {
        -1 => Err(ViewError::System {
            what: "fork",
            source: std::io::Error::last_os_error(),
        }),
        0 => {
            drop(starting);
            // The parent reports the error. The child's message about the end of the view would add
            // nothing.
            log::set_max_level(log::LevelFilter::Off);
            let served = server.serve_until_closed();
            // SAFETY: ends the child at once. None of the parent's destructors may run here.
            unsafe { libc::_exit(i32::from(served.is_err())) }
        }
        child => {
            drop(server);
            // `wait_ready` opens a view as a test. Its end closes the socket, which ends the
            // server.
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
