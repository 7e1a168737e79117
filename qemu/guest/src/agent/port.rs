// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads and writes the port (or a socket in its place) from several threads.
//!
//! Linux's virtio-serial driver lets a port be opened only once. A blocking write spins on a
//! processor there, with interrupts off, until QEMU has taken the bytes. So both directions share
//! one non-blocking descriptor, and wait by poll(2).

use std::{fs::File, io};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::{Errno, read, write},
};

/// The port.
pub(crate) struct Port(File);

impl Port {
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }

    /// Writes the first bytes, once a host is connected, and makes the port non-blocking. That
    /// could not be done from the start: without a host, poll reports a hang-up at once, while a
    /// blocking write does wait.
    pub(crate) fn greet(&self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut &self.0, bytes)?;
        Ok(fcntl_setfl(
            &self.0,
            fcntl_getfl(&self.0)? | OFlags::NONBLOCK,
        )?)
    }

    /// Waits for bytes; 0 means that the host has gone.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match read(&self.0, &mut *buffer) {
                Ok(len) => return Ok(len),
                Err(Errno::AGAIN) => drop(self.wait(PollFlags::IN)?),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes them all, or fails because the host has gone.
    pub(crate) fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match write(&self.0, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => {
                    if self.wait(PollFlags::OUT)?.contains(PollFlags::HUP) {
                        return Err(io::ErrorKind::BrokenPipe.into());
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait(&self, what: PollFlags) -> io::Result<PollFlags> {
        let mut polled = [PollFd::new(&self.0, what)];
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => Ok(polled[0].revents()),
            Err(error) => Err(error.into()),
        }
    }
}
