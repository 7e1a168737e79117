// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A lease on a file of the host, as file servers take them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use virtiofs_driver::{Body, Request, Unique};

use crate::rig::{PATIENCE, Rig};

/// Sets the signal that says that the file is wanted. libc has no name for this command.
const F_SETSIG: libc::c_int = 10;

/// Delays a process that opens the file for writing, until this is dropped or the kernel's 45 s are
/// over.
pub struct Lease(File);

impl Lease {
    pub fn take(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        // The default signal would end this process.
        fcntl(&file, F_SETSIG, libc::SIGURG)?;
        fcntl(&file, libc::F_SETLEASE, libc::F_RDLCK)?;
        Ok(Self(file))
    }

    /// Waits until a process opens the file.
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

/// Sends an OPEN that the daemon can't answer before the lease is dropped. Returns when the daemon
/// is about to open the file.
pub fn hung_open(rig: &mut Rig) -> Result<(Lease, Unique)> {
    let path = rig.daemon.share().join("leased");
    std::fs::write(&path, b"content")?;
    let leased = rig.client.node("leased")?;
    let lease = Lease::take(&path)?;
    let pipeline = rig.client.pipeline();
    let unique = pipeline.submit(&Request::new(leased, Body::open(libc::O_RDWR)))?;
    pipeline.kick()?;
    lease.wait_until_wanted()?;
    Ok((lease, unique))
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> Result<libc::c_int> {
    // SAFETY: these commands take a number, and the descriptor is open.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, argument) };
    ensure!(result >= 0, io::Error::last_os_error());
    Ok(result)
}
