// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A lease on a file of the host, as file servers take them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::rig::PATIENCE;

/// Which signal says that the file is wanted; libc has no name for it.
const F_SETSIG: libc::c_int = 10;

/// Holds up a process that opens the file for writing, until it is dropped or the kernel's 45 s are over.
pub struct Lease(File);

impl Lease {
    pub fn take(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        // What is sent by default would end this process.
        fcntl(&file, F_SETSIG, libc::SIGURG)?;
        fcntl(&file, libc::F_SETLEASE, libc::F_RDLCK)?;
        Ok(Self(file))
    }

    /// Returns when a process opens the file.
    pub fn wait_until_wanted(&self) -> Result<()> {
        let begun = Instant::now();
        while fcntl(&self.0, libc::F_GETLEASE, 0)? == libc::F_RDLCK {
            ensure!(
                begun.elapsed() < PATIENCE,
                "waited {PATIENCE:?} for the file to be opened"
            );
            thread::yield_now();
        }
        Ok(())
    }
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> Result<libc::c_int> {
    // SAFETY: these commands take a number, and the descriptor is open.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    ensure!(result >= 0, io::Error::last_os_error());
    Ok(result)
}
