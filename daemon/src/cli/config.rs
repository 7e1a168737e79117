// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From the options to a validated [`Config`]: the checks that need more than one option.

use std::time::Duration;

use log::LevelFilter;
use virtiofsd::passthrough::{self, CachePolicy, MigrationMode, NegotiationMode};

use crate::cli::args::Args;
use crate::cli::args::endpoint::EndpointArgs;
use crate::cli::args::migration::MigrationArgs;
use crate::cli::args::running::MetricsArgs;
use crate::cli::args::share::ShareArgs;
use crate::config::{
    Config, ConfigError, Confinement, DeviceConfig, Endpoint, Logging, MetricsAddress,
    MetricsEndpoint, Share, SocketFile,
};

/// How long names and attributes stay valid where the share is the guest's alone.
const EXCLUSIVE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long they do where others change the share too.
const SHARED_TIMEOUT: Duration = Duration::from_secs(1);

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
        let locks = args.share.locks;
        Ok(Self {
            share: share(dir, args.share, &args.migration),
            device: DeviceConfig {
                tag: args.endpoint.tag.clone(),
                request_queues: args.endpoint.request_queues,
                thread_pool_size: args.endpoint.thread_pool_size,
                poll: Duration::from_micros(args.endpoint.poll.into()),
                mem_slots: args.window.mem_slots,
                locks,
            },
            endpoint: endpoint(args.endpoint),
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

/// The share and how virtiofsd serves it.
fn share(dir: String, share: ShareArgs, migration: &MigrationArgs) -> Share {
    let xattr = share.xattr
        || share.xattrmap.is_some()
        || share.posix_acl != NegotiationMode::Never
        || share.security_label != NegotiationMode::Never;
    let timeout = timeout(&share.cache);
    let readdirplus = !share.no_readdirplus && !matches!(share.cache, CachePolicy::Never);
    Share {
        dir,
        read_only: share.readonly,
        passthrough: passthrough::Config {
            entry_timeout: timeout,
            attr_timeout: timeout,
            cache_policy: share.cache,
            writeback: share.writeback,
            xattr,
            xattrmap: share.xattrmap,
            announce_submounts: !share.no_announce_submounts,
            inode_file_handles: share.inode_file_handles.mode,
            readdirplus,
            allow_direct_io: share.allow_direct_io,
            killpriv_v2: share.killpriv_v2,
            posix_acl: share.posix_acl,
            security_label: share.security_label,
            clean_noatime: !share.preserve_noatime,
            allow_mmap: share.allow_mmap,
            migration_on_error: migration.migration_on_error,
            migration_verify_handles: migration.migration_verify_handles,
            migration_confirm_paths: migration.migration_confirm_paths,
            migration_mode: migration.migration_mode,
            uid_map: Some(share.translate_uid),
            gid_map: Some(share.translate_gid),
            ..Default::default()
        },
    }
}

/// How long the guest may keep names and attributes.
fn timeout(policy: &CachePolicy) -> Duration {
    match policy {
        CachePolicy::Never => Duration::ZERO,
        CachePolicy::Auto => SHARED_TIMEOUT,
        CachePolicy::Metadata | CachePolicy::Always => EXCLUSIVE_TIMEOUT,
    }
}
