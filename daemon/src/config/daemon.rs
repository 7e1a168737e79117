// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All settings of one daemon, and the checks that need more than one option.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use log::LevelFilter;
use virtiofsd::passthrough::{self, InodeFileHandlesMode, NegotiationMode};

use super::{
    Confinement, DaxPolicy, Endpoint, Fault, HostTruncate, MetricsEndpoint, WindowRequest,
};

/// What is shared, and how.
#[derive(Debug)]
pub struct Share {
    /// The path of the directory, as given with `--shared-dir`.
    pub dir: String,
    /// Every change by the guest is refused (`--readonly`).
    pub read_only: bool,
    /// virtiofsd's settings, complete except for the parts that only the sandbox knows: the root,
    /// the descriptors of /proc, and the limit of open files.
    pub passthrough: passthrough::Config,
}

impl Share {
    /// Whether each GETATTR opens the file by its handle, and answers the host's own IDs.
    #[must_use]
    pub fn opens_files_anew(&self) -> bool {
        let translates = [&self.passthrough.uid_map, &self.passthrough.gid_map]
            .into_iter()
            .any(|map| map.as_ref().is_some_and(|map| !map.is_empty()));
        self.passthrough.inode_file_handles != InodeFileHandlesMode::Never && !translates
    }
}

/// How the daemon logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// Least severe message that is logged.
    pub level: LevelFilter,
    /// Whether the log goes to syslog rather than stderr.
    pub syslog: bool,
}

/// Whose locks the guest's are (`--locks`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LockScope {
    /// They stay in the guest's kernel.
    Guest,
    /// They are the host's, which other processes and guests see.
    Host,
}

/// The vhost-user device's offer, and the threads that serve its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Mount tag of the device, if it has one; at most 36 bytes.
    pub tag: Option<String>,
    /// Request queues, beside the high priority queue; at most 63.
    pub request_queues: NonZeroU16,
    /// Threads that process requests; 0 for one thread a queue.
    pub thread_pool_size: usize,
    /// How long a queue's thread watches its ring before it sleeps; 0 for not at all.
    pub poll: Duration,
    /// Whether the VMM announces each added or removed memory region by a message. QEMU 11.1 then
    /// takes 512 regions, and does not survive a reset with live mappings; see the design.
    pub mem_slots: bool,
    /// Whose locks the guest's are.
    pub locks: LockScope,
}

impl DeviceConfig {
    /// All queues: the high priority queue and the request queues.
    #[must_use]
    pub fn queues(&self) -> usize {
        1 + usize::from(self.request_queues.get())
    }
}

/// All settings of one daemon.
#[derive(Debug)]
pub struct Config {
    /// What is shared.
    pub share: Share,
    /// Where the VMM connects.
    pub endpoint: Endpoint,
    /// The vhost-user device.
    pub device: DeviceConfig,
    /// Files that the guest is told to map.
    pub dax: DaxPolicy,
    /// What other processes may do to mapped files.
    pub host_truncate: HostTruncate,
    /// The requested window.
    pub window: WindowRequest,
    /// The VM's limit of memory regions, if the operator gave one; 0 is no limit.
    pub max_regions: Option<usize>,
    /// Safeguards that a test has removed.
    pub faults: Vec<Fault>,
    /// The daemon's confinement.
    pub confinement: Confinement,
    /// Limit of open files: `None` for the default, 0 for leaving it.
    pub rlimit_nofile: Option<u64>,
    /// Where the daemon serves metrics, if it does.
    pub metrics: Option<MetricsEndpoint>,
    /// How the daemon logs.
    pub logging: Logging,
    /// Deprecated spellings in use, one sentence each.
    pub deprecations: Vec<&'static str>,
}

/// Options that contradict each other, or one that is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither `--shared-dir` nor `-o source`.
    #[error("no directory to share: give --shared-dir DIR (or -o source=DIR)")]
    NoSharedDir,
    /// virtiofsd's library takes its root as a string.
    #[error("the path given with --shared-dir is not valid UTF-8")]
    SharedDirEncoding,
    /// An option that applies only to the other migration mode.
    #[error("{option} works with --migration-mode=find-paths only, drop it or change the mode")]
    MigrationMode {
        /// The option.
        option: &'static str,
    },
    /// Metrics for other machines, without an explicit option.
    #[error(
        "--metrics={address} can be reached from other machines, and there is no password; \
         use 127.0.0.1 or [::1], a socket's path, or add --metrics-anywhere"
    )]
    MetricsAnywhere {
        /// The address.
        address: SocketAddr,
    },
    /// ACLs hold IDs that the daemon doesn't translate.
    #[error("{option} can't be combined with --posix-acl={acl}, whose IDs would stay untranslated")]
    TranslatedAcl {
        /// The option.
        option: &'static str,
        /// The mode of ACLs.
        acl: NegotiationMode,
    },
}
