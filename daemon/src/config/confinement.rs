// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's confinement.

use virtiofsd::idmap::{GidMap, UidMap};
use virtiofsd::sandbox::SandboxMode;

use super::{CapabilityChanges, KeptCapabilities};

/// What happens on a system call outside the allow list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SeccompMode {
    /// No filter is loaded.
    None,
    /// The process is killed.
    Kill,
    /// The kernel logs it and lets it through.
    Log,
    /// The thread gets SIGSYS.
    Trap,
}

/// The daemon's confinement.
#[derive(Debug, Clone)]
pub struct Confinement {
    /// Namespaces, chroot, or nothing.
    pub sandbox: SandboxMode,
    /// User IDs of the sandbox's user namespace; only for an unprivileged start.
    pub uid_map: Vec<UidMap>,
    /// Group IDs of the same.
    pub gid_map: Vec<GidMap>,
    /// The system call filter.
    pub seccomp: SeccompMode,
    /// Changes to the capabilities that are kept.
    pub capabilities: CapabilityChanges,
}

impl Confinement {
    /// The capabilities that the daemon keeps inside its sandbox if it runs as root.
    ///
    /// # Errors
    ///
    /// If the operator removed one that the other settings need.
    pub fn kept_capabilities(
        &self,
        file_handles: virtiofsd::passthrough::InodeFileHandlesMode,
    ) -> Result<KeptCapabilities, super::CapabilityError> {
        KeptCapabilities::new(&self.capabilities, file_handles)
    }
}
