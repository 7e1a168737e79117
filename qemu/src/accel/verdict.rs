// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A probe's result, and the file that keeps it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Changes at each boot of the host.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The result of the probe guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The guest ran to its end.
    Runs,
    /// There is no usable device, so no guest was started.
    NoDevice(String),
    /// The guest was still running at the deadline. That also happens on a very busy host.
    Hangs {
        /// The time it had, in milliseconds.
        after_ms: u64,
    },
    /// QEMU has stopped the guest half way, because KVM can't run it.
    Stuck {
        /// The line of QEMU's standard error that says so.
        said: String,
    },
    /// QEMU ended before the guest's end.
    Ended {
        /// QEMU's exit status.
        status: String,
        /// The last line of its standard error.
        said: String,
    },
}

impl Verdict {
    /// Why KVM can't be used, or `None` if it can.
    pub fn obstacle(&self) -> Option<String> {
        match self {
            Self::Runs => None,
            Self::NoDevice(why) => Some(why.clone()),
            Self::Hangs { after_ms } => Some(format!("a probe guest did not end in {after_ms} ms")),
            Self::Stuck { said } => Some(format!("QEMU has stopped a probe guest: {said}")),
            Self::Ended { status, said } => Some(format!("QEMU gave up ({status}): {said}")),
        }
    }
}

impl Verdict {
    /// Whether another probe would have the same result until the host reboots: the result does not
    /// depend on the host's load, as time and memory do.
    fn lasts(&self) -> bool {
        match self {
            Self::Runs | Self::Stuck { .. } => true,
            Self::NoDevice(_) | Self::Hangs { .. } | Self::Ended { .. } => false,
        }
    }
}

/// A file with the last lasting verdict. It only saves time, so every failure to read or write it
/// means "not remembered".
#[derive(Debug, Clone)]
pub(super) struct Memo {
    path: PathBuf,
    probe: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    boot_id: String,
    probe: String,
    verdict: Verdict,
}

impl Memo {
    /// A memo of the verdict about `probe`, a text that identifies QEMU and the probe guest.
    pub(super) fn new(path: PathBuf, probe: String) -> Self {
        Self { path, probe }
    }

    /// The verdict about this probe since the host's boot.
    pub(super) fn recall(&self) -> Option<Verdict> {
        let entry: Entry = serde_json::from_slice(&std::fs::read(&self.path).ok()?).ok()?;
        let current = entry.boot_id == boot_id()? && entry.probe == self.probe;
        // A verdict that does not last was written by an older version.
        let current = current && entry.verdict.lasts();
        current.then_some(entry.verdict)
    }

    /// Keeps the verdict, if it lasts.
    pub(super) fn store(&self, verdict: &Verdict) {
        if !verdict.lasts() {
            return;
        }
        let Some(boot_id) = boot_id() else { return };
        let entry = Entry {
            boot_id,
            probe: self.probe.clone(),
            verdict: verdict.clone(),
        };
        let written = serde_json::to_vec(&entry)
            .map_err(std::io::Error::from)
            .and_then(|bytes| std::fs::write(&self.path, bytes));
        if let Err(error) = written {
            log::debug!("{}: not remembered: {error}", self.path.display());
        }
    }
}

fn boot_id() -> Option<String> {
    let text = std::fs::read_to_string(BOOT_ID).ok()?;
    Some(text.trim().to_owned())
}
