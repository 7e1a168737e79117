// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs the probe guest.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

pub use super::verdict::Verdict;
use super::{Accel, program};
use crate::vm::machine::CommandLine;
use crate::vm::process::{SpawnError, Supervised};

/// How long the probe guest may take if TCG will do as well. Where KVM works, the guest needs a few
/// milliseconds after QEMU's own start.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// How long the probe guest may take if the user asked for its result: enough for TCG on a busy
/// host.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(60);

/// The start of QEMU's message (accel/kvm/kvm-all.c) that it has stopped a CPU for good. QEMU does
/// not exit then.
const STUCK: &str = "KVM internal error";
/// How long it may take to read QEMU's last lines after its end.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(5);

/// Why the probe guest could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A temporary file could not be made.
    #[error("can't write a temporary file for the probe guest")]
    Scratch(#[source] std::io::Error),
    /// No pipe for QEMU's output.
    #[error("can't make a pipe for what the probe guest's QEMU says")]
    Pipe(#[source] std::io::Error),
    /// QEMU could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// QEMU could not be waited for.
    #[error("can't wait for the probe guest")]
    Wait(#[source] std::io::Error),
}

/// Boots the probe guest under `accel`. No process is left, however the guest ends.
pub(super) async fn probe(
    qemu: &CommandLine,
    accel: Accel,
    deadline: Duration,
) -> Result<Verdict, ProbeError> {
    // A file without a name, so nothing is left even if this process is killed.
    let rom = rom_file().map_err(ProbeError::Scratch)?;
    let mut command = guest(qemu, accel, &rom).command();
    let (reader, writer) = std::io::pipe().map_err(ProbeError::Pipe)?;
    command.stderr(writer);
    let mut child = Supervised::spawn("probe guest", command)?;
    let reader = Receiver::from_owned_fd(OwnedFd::from(reader)).map_err(ProbeError::Pipe)?;
    let mut output = Output::new(reader);
    let result = tokio::select! {
        status = child.wait() => Some(status.map_err(ProbeError::Wait)?),
        said = output.stuck() => return Ok(Verdict::Stuck { said }),
        () = tokio::time::sleep(deadline) => None,
    };
    Ok(match result {
        Some(status) => ended(status, &output.rest().await),
        None => Verdict::Hangs {
            after_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        },
    })
}

/// QEMU's standard error.
struct Output {
    lines: Lines<BufReader<Receiver>>,
    last: String,
}

impl Output {
    fn new(reader: Receiver) -> Self {
        Self {
            lines: BufReader::new(reader).lines(),
            last: "no message".to_owned(),
        }
    }

    /// The next line that is not empty. An error counts as the end: it explains nothing.
    async fn next(&mut self) -> Option<&str> {
        loop {
            let line = self.lines.next_line().await.ok().flatten()?;
            if !line.trim().is_empty() {
                line.trim().clone_into(&mut self.last);
                return Some(&self.last);
            }
        }
    }

    /// Waits for QEMU's message that the guest is stuck. Never returns without one.
    async fn stuck(&mut self) -> String {
        while let Some(line) = self.next().await {
            if line.starts_with(STUCK) {
                return line.to_owned();
            }
        }
        std::future::pending().await
    }

    /// The last line, once QEMU has ended.
    async fn rest(mut self) -> String {
        // A child of QEMU could keep the pipe open.
        let read = async { while self.next().await.is_some() {} };
        let _ = timeout(LAST_WORDS_DEADLINE, read).await;
        self.last
    }
}

fn ended(status: ExitStatus, last_line: &str) -> Verdict {
    if status.code() == Some(program::DONE_STATUS) {
        return Verdict::Runs;
    }
    Verdict::Ended {
        status: status.to_string(),
        said: last_line.to_owned(),
    }
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

/// A path by which a child process can open an unnamed file.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ))
}
