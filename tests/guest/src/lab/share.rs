// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A folder that both sides see.

use std::path::{Path, PathBuf};

use qemu_guest::vm::process::Share;
use tempfile::TempDir;

use super::Mounted;

/// A mounted share.
pub struct Shared {
    /// The share's tag.
    pub tag: String,
    /// What its daemon was started with.
    pub settings: Share,
    pub(super) mount_options: String,
    pub(super) _dir: TempDir,
    pub(super) _mounted: Option<Mounted>,
}

impl Shared {
    /// The host's folder that is shared.
    pub fn folder(&self) -> &Path {
        &self.settings.dir
    }

    /// The host's path of a file in it.
    pub fn on_host(&self, name: &str) -> PathBuf {
        self.settings.dir.join(name)
    }

    /// The guest's path of a file in it.
    pub fn in_guest(&self, name: &str) -> String {
        format!("{}/{name}", self.mount_point())
    }

    /// The mount point in the guest.
    pub fn mount_point(&self) -> String {
        format!("/mnt/{}", self.tag)
    }
}
