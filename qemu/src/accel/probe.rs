// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Running the probe guest.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

pub use super::verdict::Verdict;
use super::{Accel, program};
use crate::machine::CommandLine;
use crate::process::{SpawnError, Supervised};

/// How long the probe guest may take. Where KVM works it needs a few milliseconds after QEMU's own
/// start, so this is generous even on a busy host, and short enough to wait for once per boot.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// Why the probe guest could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A temporary file could not be made.
    #[error("can't write a temporary file for the probe guest")]
    Scratch(#[source] std::io::Error),
    /// QEMU could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// QEMU could not be waited for.
    #[error("can't wait for the probe guest")]
    Wait(#[source] std::io::Error),
}

/// Boots the probe guest under `accel`. However it ends, no process is left.
pub(super) async fn probe(
    qemu: &CommandLine,
    accel: Accel,
    deadline: Duration,
) -> Result<Verdict, ProbeError> {
    // Files without a name: nothing is left even if this process is killed.
    let rom = rom_file().map_err(ProbeError::Scratch)?;
    let mut stderr = tempfile::tempfile().map_err(ProbeError::Scratch)?;
    let mut command = guest(qemu, accel, &rom).command();
    command.stderr(Stdio::from(
        stderr.try_clone().map_err(ProbeError::Scratch)?,
    ));
    let mut child = Supervised::spawn("probe guest", command)?;
    match tokio::time::timeout(deadline, child.wait()).await {
        Ok(status) => {
            let status = status.map_err(ProbeError::Wait)?;
            Ok(ended(status, &output(&mut stderr)))
        }
        Err(_elapsed) => Ok(Verdict::Hangs {
            after_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            said: output(&mut stderr)
                .lines()
                .find(|line| line.contains("error"))
                .map(str::to_owned),
        }),
    }
}

fn ended(status: ExitStatus, output: &str) -> Verdict {
    if status.code() == Some(program::DONE_STATUS) {
        return Verdict::Runs;
    }
    Verdict::Ended {
        status: status.to_string(),
        said: last_line(output).to_owned(),
    }
}

fn last_line(text: &str) -> &str {
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or("no message").trim()
}

/// The probe guest's command line.
fn guest(qemu: &CommandLine, accel: Accel, rom: &File) -> CommandLine {
    let port = program::EXIT_PORT;
    qemu.clone()
        .args("-nodefaults -no-user-config -display none -no-reboot".split(' '))
        .args(["-machine", "q35", "-m", "16M"])
        .args(accel.args())
        .arg("-device")
        .arg(format!("isa-debug-exit,iobase={port:#x},iosize=1"))
        .arg("-bios")
        .arg(path_of(rom))
}

fn rom_file() -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(&program::rom())?;
    Ok(file)
}

/// A path by which a child of ours can open an unnamed file.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ))
}

/// What QEMU has written so far.
fn output(file: &mut File) -> String {
    let mut bytes = Vec::new();
    match file.rewind().and_then(|()| file.read_to_end(&mut bytes)) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("its output can't be read: {error}"),
    }
}
