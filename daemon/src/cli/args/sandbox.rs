// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the daemon takes away from itself before it serves.

use clap::Args;
use virtiofsd::idmap::{GidMap, UidMap};
use virtiofsd::sandbox::SandboxMode;

use crate::cli::values;
use crate::config::{CapabilityChanges, SeccompMode};

/// Options of the sandbox.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sandbox")]
pub struct SandboxArgs {
    /// Confine the daemon: in namespaces of its own, in a chroot, or not at all
    ///
    /// `chroot` needs root. `none` is for development.
    #[arg(
        long,
        value_name = "MODE",
        default_value = "namespace",
        ignore_case = true,
        value_parser = values::sandbox_mode()
    )]
    pub sandbox: SandboxMode,

    /// What a system call outside the allow list does: ends the daemon, is logged, raises SIGSYS
    ///
    /// `none` loads no filter.
    #[arg(long, value_name = "ACTION", default_value = "kill", value_enum)]
    pub seccomp: SeccompMode,

    /// Change the capabilities that are kept: `+name` or `-name`, joined by colons
    ///
    /// Kept by default: chown, dac_override, fowner, fsetid, setgid, setuid, mknod, setfcap, and
    /// dac_read_search unless --inode-file-handles=never. Example: `--modcaps=+sys_admin:-chown`
    #[arg(long, value_name = "LIST", value_parser = values::modcaps)]
    pub modcaps: Option<CapabilityChanges>,

    /// Map user IDs into the sandbox's user namespace: :INSIDE:HOST:COUNT:, may be repeated
    ///
    /// Only for a daemon started without root, with --sandbox=namespace; uses newuidmap(1).
    #[arg(long, value_name = "MAP")]
    pub uid_map: Vec<UidMap>,

    /// The same for group IDs, by newgidmap(1)
    #[arg(long, value_name = "MAP")]
    pub gid_map: Vec<GidMap>,

    /// Limit of open file descriptors; 0 leaves it as it is
    ///
    /// [default: 1000000, or what /proc/sys/fs/nr_open allows if that is less]
    #[arg(long, value_name = "N")]
    pub rlimit_nofile: Option<u64>,
}
