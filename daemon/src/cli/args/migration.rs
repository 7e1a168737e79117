// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Live migration, which works for a guest that took no window.

use clap::Args;
use virtiofsd::passthrough::{MigrationMode, MigrationOnError};

use crate::cli::values;

/// Options of live migration.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Migration (without a window only)")]
pub struct MigrationArgs {
    /// How the source describes the guest's files to the destination
    ///
    /// `find-paths`: by path, found through /proc/self/fd or a walk of the share. `file-handles`:
    /// by file handle, for which both sides must share the very same file system and the
    /// destination must have CAP_DAC_READ_SEARCH.
    #[arg(
        long,
        value_name = "MODE",
        default_value = "find-paths",
        value_parser = values::migration_mode()
    )]
    pub migration_mode: MigrationMode,

    /// What the destination does about a file that it can't find
    ///
    /// `abort`: the migration fails. `guest-error`: the guest gets errors from that file.
    #[arg(
        long,
        value_name = "ACTION",
        default_value = "abort",
        value_parser = values::migration_on_error()
    )]
    pub migration_on_error: MigrationOnError,

    /// With find-paths: send file handles too, so that the destination can tell whether it opened
    /// the same file
    #[arg(long)]
    pub migration_verify_handles: bool,

    /// With find-paths: check each path again at the switch-over, and mend it if need be
    #[arg(long)]
    pub migration_confirm_paths: bool,
}
