// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--disk`: a system of the user's own, with the shares attached. It has no agent, so the terminal is
//! its console, and the user mounts the shares.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use qemu_guest::vm::Parts;
use qemu_guest::vm::machine::{Boot, Console};
use qemu_guest::vm::process::{Daemon, RunDir, Supervised};

use super::{config::Config, steps::Steps};
use crate::{cli::Status, signals::Signals};

/// The first bytes of a qcow2 image (QEMU's docs/interop/qcow2.rst).
const QCOW2: &[u8; 4] = b"QFI\xfb";

/// The disk, and what boots it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The image.
    path: PathBuf,
    /// QEMU's name of its format.
    format: &'static str,
    /// Whether the kernel of `--kernel` boots, in place of the disk's own boot loader.
    has_kernel: bool,
}

impl Disk {
    /// Looks at the image for its format. QEMU's own look would keep the guest from writing a boot
    /// sector to a raw one.
    ///
    /// # Errors
    ///
    /// If it can't be read.
    pub fn new(path: &Path, has_kernel: bool) -> io::Result<Self> {
        let mut begin = Vec::new();
        let image = File::open(path)?;
        image.take(QCOW2.len() as u64).read_to_end(&mut begin)?;
        Ok(Self {
            path: path.canonicalize()?,
            format: if begin == QCOW2 { "qcow2" } else { "raw" },
            has_kernel,
        })
    }

    /// QEMU's arguments for it.
    pub fn args(&self) -> [OsString; 2] {
        let mut option = OsString::from(format!("if=virtio,format={},file=", self.format));
        // A comma ends an option's value, and two are one comma.
        option.push(self.path.to_string_lossy().replace(',', ",,"));
        ["-drive".into(), option]
    }

    /// What boots it: a kernel whose root is the whole disk, or nothing, which leaves it to the BIOS.
    fn boot(&self, parts: &Parts) -> Option<Boot> {
        self.has_kernel.then(|| Boot {
            initrd: None,
            ..parts.boot(vec!["root=/dev/vda rw".into()])
        })
    }
}

/// Runs the guest until it powers off.
///
/// # Errors
///
/// If a daemon or QEMU can't be started, or fails.
pub async fn run(config: &Config, disk: &Disk, parts: &Parts, steps: &Steps) -> Result<Status> {
    let mut signals = Signals::catch()?;
    let dir = RunDir::create()?;
    let chosen = parts.accel(config.spec.accel).await?;
    let mut machine = config.spec.machine(parts, chosen.accel);
    machine.console = Console::Stdio;
    machine.boot = disk.boot(parts);
    let mut daemons = Vec::new();
    for (index, share) in [&config.share]
        .into_iter()
        .chain(&config.others)
        .enumerate()
    {
        let socket = dir.join(&format!("fs{index}.sock"));
        let log = dir.join(&format!("daemon{index}.log"));
        daemons.push(Daemon::start(&parts.daemon, share, &socket, &log).await?);
        machine.shares.push(share.device(&socket));
        let (dir, tag) = (share.dir.display(), &share.tag);
        steps.say(&format!(
            "{dir} is the share {tag}: 'mount -t virtiofs {tag} /mnt' in the guest"
        ));
    }
    steps.say("power the guest off to end; Ctrl-A X ends QEMU at once");
    steps.clear();
    let line = parts.qemu_line().args(machine.args());
    let mut qemu = Supervised::on_terminal("QEMU", line.command())?;
    let status = tokio::select! {
        status = qemu.wait() => status?,
        signal = signals.ending() => return Ok(Status::Signalled(signal)),
    };
    if !status.success() {
        bail!("QEMU ended ({status}); its words are above");
    }
    for daemon in daemons {
        daemon.stop().await?;
    }
    Ok(Status::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_image_begins_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a,b");
        for (begin, format) in [
            (&b"QFI\xfb\0\0\0\x03"[..], "qcow2"),
            (b"\xeb\x63\x90\x10", "raw"),
            (b"", "raw"),
        ] {
            std::fs::write(&path, begin).unwrap();
            let args = Disk::new(&path, false).unwrap().args();
            let [_, option] = args.map(|arg| arg.into_string().unwrap());
            assert!(option.contains(&format!("format={format},")), "{option}");
            assert!(option.ends_with("a,,b"), "{option}");
        }
    }
}
