// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Waits for the virtio-serial port to the host, by the kernel's device events.
//!
//! A port gets its name some time after its device appears, and the kernel sends a separate event
//! for that. So it is enough to check again after every event.

use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with},
};

use crate::wire::PORT_NAME;

const PORTS: &str = "/sys/class/virtio-ports";

/// How long the port may take to appear once the modules are loaded.
const PORT_TIME_OUT: Duration = Duration::from_secs(120);

/// The multicast group of the kernel's own events.
const KERNEL_EVENTS: u32 = 1;

/// The kernel's events from [`start`](Watch::start) on.
pub(super) struct Watch {
    events: OwnedFd,
}

impl Watch {
    pub(super) fn start() -> io::Result<Self> {
        let events = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::KOBJECT_UEVENT),
        )?;
        bind(&events, &netlink::SocketAddrNetlink::new(0, KERNEL_EVENTS))?;
        Ok(Self { events })
    }

    /// Opens the port as soon as it is there.
    pub(super) fn wait_for_port(&self) -> anyhow::Result<File> {
        let deadline = Instant::now() + PORT_TIME_OUT;
        loop {
            if let Some(device) = find_port().with_context(|| format!("can't look in {PORTS}"))? {
                return File::options()
                    .read(true)
                    .write(true)
                    .open(&device)
                    .with_context(|| format!("can't open the port {}", device.display()));
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                bail!(
                    "no virtio-serial port named {PORT_NAME} after {} s: give QEMU -device \
                     virtio-serial-pci -device virtserialport,name={PORT_NAME}, and the guest the \
                     module virtio_console",
                    PORT_TIME_OUT.as_secs()
                );
            };
            self.wait_for_event(left)
                .context("can't wait for the kernel's device events")?;
        }
    }

    /// Waits for an event and reads all pending ones, without regard to their content.
    fn wait_for_event(&self, limit: Duration) -> io::Result<()> {
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        poll(
            &mut [PollFd::new(&self.events, PollFlags::IN)],
            Some(&limit),
        )?;
        let mut event = [0; 4096];
        loop {
            match recv(&self.events, &mut event[..], RecvFlags::empty()) {
                // Events were lost, so a check is due in any case.
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn find_port() -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(PORTS) {
        Ok(entries) => entries,
        // The driver is not loaded yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // A port that has no name yet has no such file.
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim_end() == PORT_NAME {
            return Ok(Some(Path::new("/dev").join(entry.file_name())));
        }
    }
    Ok(None)
}
