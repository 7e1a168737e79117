// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All settings of one daemon, and the checks that need more than one option.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use log::LevelFilter;
use virtiofsd::passthrough::{MigrationMode, NegotiationMode};

use super::{
    Confinement, DaxPolicy, Endpoint, Fault, HostTruncate, MetricsAddress, MetricsEndpoint, Share,
    SocketFile, WindowRequest,
};
use crate::cli::args::Args;
use crate::cli::args::endpoint::EndpointArgs;
use crate::cli::args::metrics::MetricsArgs;

/// How the daemon logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// Least severe message that is logged.
    pub level: LevelFilter,
    /// To syslog rather than stderr.
    pub syslog: bool,
}

/// All settings of one daemon.
#[derive(Debug)]
pub struct Config {
    /// What is shared.
    pub share: Share,
    /// Where the VMM connects.
    pub endpoint: Endpoint,
    /// The tag in the device's configuration, if the daemon offers that.
    pub tag: Option<String>,
    /// Request queues, without the high-priority queue.
    pub request_queues: NonZeroU16,
    /// Threads that process requests beside the queues' own; 0: none.
    pub thread_pool_size: usize,
    /// Whether the VMM is to tell each memory region that comes or goes.
    pub mem_slots: bool,
    /// Files that the guest is told to map.
    pub dax: DaxPolicy,
    /// What others may do to files that are mapped.
    pub host_truncate: HostTruncate,
    /// The window that is asked for.
    pub window: WindowRequest,
    /// Memory regions that the VM may have, where the operator said so; 0 is no limit.
    pub max_regions: Option<usize>,
    /// Safeguards that a test took away.
    pub faults: Vec<Fault>,
    /// What the daemon takes away from itself.
    pub confinement: Confinement,
    /// Limit of open files: `None` for the default, 0 for leaving it.
    pub rlimit_nofile: Option<u64>,
    /// Where the daemon shows what it does, if it is to.
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
    /// An option that only the other migration mode has a use for.
    #[error("{option} works with --migration-mode=find-paths only, drop it or change the mode")]
    MigrationMode {
        /// The option.
        option: &'static str,
    },
    /// Metrics for other machines, which nobody asked for in so many words.
    #[error(
        "--metrics={address} can be reached from other machines, and asks nobody for a password; \
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

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        check_migration(&args)?;
        check_translation(&args)?;
        let metrics = metrics(&args.metrics)?;
        let deprecations = deprecations(&args);
        let dir = args
            .share
            .shared_dir
            .clone()
            .ok_or(ConfigError::NoSharedDir)?
            .into_os_string()
            .into_string()
            .map_err(|_| ConfigError::SharedDirEncoding)?;
        Ok(Self {
            share: Share::new(dir, args.share, &args.migration),
            tag: args.endpoint.tag.clone(),
            request_queues: args.endpoint.request_queues,
            thread_pool_size: args.endpoint.thread_pool_size,
            endpoint: endpoint(args.endpoint),
            mem_slots: args.window.mem_slots,
            dax: args.window.policy(),
            host_truncate: args.window.host_truncate,
            window: args.window.request(),
            max_regions: args.window.max_regions,
            faults: args.window.fault,
            confinement: Confinement {
                sandbox: args.sandbox.sandbox,
                uid_map: args.sandbox.uid_map,
                gid_map: args.sandbox.gid_map,
                seccomp: args.sandbox.seccomp,
                capabilities: args.sandbox.modcaps.unwrap_or_default(),
            },
            rlimit_nofile: args.sandbox.rlimit_nofile,
            metrics,
            logging: Logging {
                level: if args.legacy.compat_debug {
                    LevelFilter::Debug
                } else {
                    args.logging.log_level
                },
                syslog: args.logging.syslog,
            },
            deprecations,
        })
    }
}

/// Options that make no sense with file handles, which need no paths.
fn check_migration(args: &Args) -> Result<(), ConfigError> {
    let migration = &args.migration;
    let paths_only = [
        (
            migration.migration_confirm_paths,
            "--migration-confirm-paths",
        ),
        (
            migration.migration_verify_handles,
            "--migration-verify-handles",
        ),
    ];
    match (
        migration.migration_mode,
        paths_only.iter().find(|(given, _)| *given),
    ) {
        (MigrationMode::FileHandles, Some((_, option))) => {
            Err(ConfigError::MigrationMode { option })
        }
        _ => Ok(()),
    }
}

/// Translated IDs and ACLs exclude each other.
fn check_translation(args: &Args) -> Result<(), ConfigError> {
    let acl = args.share.posix_acl;
    let option = if !args.share.translate_uid.is_empty() {
        "--translate-uid"
    } else if !args.share.translate_gid.is_empty() {
        "--translate-gid"
    } else {
        return Ok(());
    };
    match acl {
        NegotiationMode::Never => Ok(()),
        NegotiationMode::Auto | NegotiationMode::Always => {
            Err(ConfigError::TranslatedAcl { option, acl })
        }
    }
}

/// Where to show metrics: for this machine alone, unless told otherwise.
fn metrics(args: &MetricsArgs) -> Result<Option<MetricsEndpoint>, ConfigError> {
    let anywhere = args.metrics_anywhere;
    match &args.metrics {
        Some(MetricsAddress::Tcp(address)) if !address.ip().is_loopback() && !anywhere => {
            Err(ConfigError::MetricsAnywhere { address: *address })
        }
        given => Ok(given
            .clone()
            .map(|address| MetricsEndpoint { address, anywhere })),
    }
}

/// The endpoint; clap made sure that there is exactly one kind of it.
fn endpoint(args: EndpointArgs) -> Endpoint {
    match (args.fd, args.socket_path.or(args.socket)) {
        (Some(fd), _) => Endpoint::Inherited(fd),
        (None, Some(path)) => Endpoint::Create(SocketFile {
            path,
            group: args.socket_group,
        }),
        (None, None) => unreachable!("clap requires --socket-path, --socket or --fd"),
    }
}

/// One sentence for each deprecated spelling.
fn deprecations(args: &Args) -> Vec<&'static str> {
    let table = [
        (
            args.legacy.compat_foreground,
            "-f is deprecated and has no effect, drop it",
        ),
        (
            args.legacy.compat_debug,
            "-d is deprecated, use --log-level=debug",
        ),
        (
            !args.legacy.compat_options.is_empty(),
            "-o is deprecated, use the long options (--cache=auto rather than -o cache=auto)",
        ),
        (
            args.endpoint.socket.is_some(),
            "--socket is deprecated, use --socket-path",
        ),
        (
            args.share.inode_file_handles.deprecated_name,
            "--inode-file-handles=fallback is deprecated, use --inode-file-handles=prefer",
        ),
    ];
    table
        .into_iter()
        .filter_map(|(used, sentence)| used.then_some(sentence))
        .collect()
}
