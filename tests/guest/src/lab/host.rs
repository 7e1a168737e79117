// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The parts that all guests of a run are started from.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use qemu_guest::accel::AccelChoice;
use qemu_guest::artifacts::{KernelSpec, Progress};
use qemu_guest::vm::{Parts, Programs, Wanted, WindowKind};
use tokio::sync::OnceCell;

use super::{Boot, Lab, programs};
use crate::scenario::Skip;

/// The path of fsx in the guest.
pub const FSX: &str = "/bin/fsx";

/// The path of pjdfstest in the guest.
pub const PJDFSTEST: &str = "/bin/pjdfstest";

/// The path in the guest of a `sleep` that is not busybox's.
pub const SLEEP: &str = "/opt/bin/sleep";

/// The host's side of one test, or of the tests that share a guest.
#[derive(Clone)]
pub struct Host {
    /// QEMU, the run's kernel, the initramfs and the daemon.
    pub parts: Parts,
    /// How long the soak with fsx lasts.
    pub soak: Duration,
    accel: String,
    window: Rc<OnceCell<WindowKind>>,
    /// The folder for the logs of a failed guest.
    logs: PathBuf,
}

impl Host {
    /// Fetches and builds the missing parts.
    pub async fn prepare(kernel: KernelSpec, soak: u64) -> Result<Self> {
        let parts = parts(kernel)?;
        let accel = parts.accel(AccelChoice::Auto).await?;
        Ok(Self {
            parts,
            soak: Duration::from_secs(soak),
            accel: format!("{:?}", accel.accel),
            window: Rc::default(),
            logs: PathBuf::new(),
        })
    }

    /// How this run's QEMU implements a window. A guest finds it out once.
    pub async fn window(&self) -> Result<WindowKind> {
        let found = self.window.get_or_try_init(|| self.parts.window()).await;
        found
            .copied()
            .context("can't find out what QEMU makes of a window")
    }

    /// Skips the test unless this run's QEMU implements a window in this way.
    pub async fn only_with(&self, kind: WindowKind) -> Result<()> {
        let found = self.window().await?;
        ensure!(
            found == kind,
            Skip(format!("it needs a QEMU whose window is {kind}"))
        );
        Ok(())
    }

    /// The parts with another kernel.
    pub fn parts_with(&self, kernel: KernelSpec) -> Result<Parts> {
        parts(kernel)
    }

    /// Boots a guest with the run's kernel, or with that of `boot`.
    pub async fn boot(&self, boot: Boot) -> Result<Lab<'_>> {
        Lab::start(self, boot).await
    }

    /// A copy that keeps the logs of failures in `dir`. The logs of an earlier run in `dir` are
    /// removed.
    pub fn logging_to(&self, dir: PathBuf) -> Self {
        // The folder may not exist. If it can't be removed, its files are overwritten.
        fs::remove_dir_all(&dir).ok();
        Self {
            logs: dir,
            ..self.clone()
        }
    }

    /// Keeps the files of a run's folder, except for sockets.
    pub fn save_logs(&self, run_dir: &Path) {
        if let Err(error) = copy_files(run_dir, &self.logs) {
            let to = self.logs.display();
            eprintln!("the logs can't be kept in {to}: {error:#}");
        }
    }

    /// Removes the kept logs: the tests that they belong to have passed.
    pub fn drop_logs(&self) {
        // The folder exists only if a guest ended with `save_logs`.
        fs::remove_dir_all(&self.logs).ok();
    }

    /// The folder of the kept logs, if there are any.
    pub fn saved_logs(&self) -> Option<&Path> {
        self.logs.is_dir().then_some(&*self.logs)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { qemu, kernel, .. } = &self.parts;
        write!(
            f,
            "QEMU {}, Linux {}, {}",
            qemu.version(),
            kernel.release,
            self.accel
        )
    }
}

fn parts(kernel: KernelSpec) -> Result<Parts> {
    let wanted = Wanted {
        kernel,
        unpacked: true,
        programs: vec![
            (FSX.into(), programs::FSX.find()?),
            (SLEEP.into(), Programs::agent()?),
            (PJDFSTEST.into(), programs::PJDFSTEST.find()?),
        ],
        ..Wanted::default()
    };
    Parts::obtain(&wanted, Progress::auto())
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).context("the run's folder is gone")? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        match fs::copy(entry.path(), to.join(entry.file_name())) {
            // A daemon whose QEMU has died may remove its pid file meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => drop(copied.with_context(|| entry.path().display().to_string())?),
        }
    }
    Ok(())
}
