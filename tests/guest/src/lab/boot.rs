// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest and the shares that are to be booted.

use std::path::Path;

use anyhow::Result;
use qemu_guest::artifacts::KernelSpec;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::Share;
use qemu_guest::vm::{VmSpec, Wanted};
use tempfile::TempDir;

use super::Mounted;

/// A planned share: its folder, made and filled, and the daemon's settings.
pub struct Plan {
    pub(super) dir: TempDir,
    pub(super) share: Share,
    pub(super) mount_options: String,
    pub(super) mounted: Option<Mounted>,
}

impl Plan {
    /// A new empty folder, shared as `tag` and mounted without options. The window has the default
    /// size and serves every file.
    pub fn new(tag: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("guest-tests-").tempdir()?;
        let share = Share::new(dir.path(), tag.parse()?).with_window(ByteSize::mib(256));
        Ok(Self {
            dir,
            share,
            mount_options: String::new(),
            mounted: None,
        })
    }

    /// Changes the daemon's settings.
    pub fn set(mut self, change: impl FnOnce(Share) -> Share) -> Self {
        self.share = change(self.share);
        self
    }

    /// Adds arguments for the daemon.
    pub fn daemon_args(mut self, args: &[&str]) -> Self {
        self.share.extra.extend(args.iter().map(Into::into));
        self
    }

    /// Mounts with these options.
    pub fn mount_options(mut self, options: &str) -> Self {
        self.mount_options = options.to_owned();
        self
    }

    /// Shares a file system that is mounted for this share, in place of the new folder.
    pub fn on(mut self, mounted: Mounted) -> Self {
        self.share.dir = mounted.target().to_owned();
        self.mounted = Some(mounted);
        self
    }

    /// Fills the new folder before the daemon and the guest start.
    pub fn content(self, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        fill(self.dir.path())?;
        Ok(self)
    }
}

/// A planned guest with its shares.
#[derive(Default)]
pub struct Boot {
    pub(super) plans: Vec<Plan>,
    pub(super) spec: VmSpec,
    pub(super) kernel: Option<KernelSpec>,
}

impl Boot {
    /// A guest with one share.
    pub fn with(plan: Plan) -> Self {
        Self::default().and(plan)
    }

    /// Adds a share.
    pub fn and(mut self, plan: Plan) -> Self {
        self.plans.push(plan);
        self
    }

    /// Boots this kernel, whatever the run's kernel is.
    pub fn kernel(mut self, kernel: KernelSpec) -> Self {
        self.kernel = Some(kernel);
        self
    }

    /// Boots Debian's 6.12, which has more than the kernels that are built here.
    pub fn debian(self) -> Self {
        self.kernel(Wanted::default().kernel)
    }

    /// Changes the guest's settings.
    pub fn spec(mut self, change: impl FnOnce(VmSpec) -> VmSpec) -> Self {
        self.spec = change(self.spec);
        self
    }
}
