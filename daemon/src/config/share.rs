// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The shared directory and how virtiofsd's file system is to serve it.

use std::time::Duration;

use virtiofsd::passthrough::{self, CachePolicy, NegotiationMode};

use crate::cli::args::migration::MigrationArgs;
use crate::cli::args::share::ShareArgs;

/// How long names and attributes stay valid where the share is the guest's alone.
const EXCLUSIVE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long they do where others change the share too.
const SHARED_TIMEOUT: Duration = Duration::from_secs(1);

/// What is shared, and how.
#[derive(Debug)]
pub struct Share {
    /// The directory, as given.
    pub dir: String,
    /// The guest may change nothing.
    pub read_only: bool,
    /// virtiofsd's settings, complete but for what only the sandbox knows: the root, the
    /// descriptors of /proc, and the limit of open files.
    pub passthrough: passthrough::Config,
}

impl Share {
    pub(super) fn new(dir: String, share: ShareArgs, migration: &MigrationArgs) -> Self {
        let xattr = share.xattr
            || share.xattrmap.is_some()
            || share.posix_acl != NegotiationMode::Never
            || share.security_label != NegotiationMode::Never;
        let timeout = timeout(&share.cache);
        let readdirplus = !share.no_readdirplus && !matches!(share.cache, CachePolicy::Never);
        Self {
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
}

/// How long the guest may keep names and attributes.
fn timeout(policy: &CachePolicy) -> Duration {
    match policy {
        CachePolicy::Never => Duration::ZERO,
        CachePolicy::Auto => SHARED_TIMEOUT,
        CachePolicy::Metadata | CachePolicy::Always => EXCLUSIVE_TIMEOUT,
    }
}
