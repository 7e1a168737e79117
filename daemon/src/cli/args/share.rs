// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is shared, and how the guest sees it.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use virtiofsd::passthrough::xattrmap::XattrMap;
use virtiofsd::passthrough::{CachePolicy, InodeFileHandlesMode, NegotiationMode};
use virtiofsd::soft_idmap::cmdline::IdMap;

use crate::cli::values;
use crate::config::LockScope;

/// Options of the shared file system.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Share")]
pub struct ShareArgs {
    /// Directory to share; for a single file share the directory that it is in
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present_any = ["compat_options", "print_capabilities"]
    )]
    pub shared_dir: Option<PathBuf>,

    /// Refuse every change by the guest; there is no window then unless --dax-window asks for one
    #[arg(long)]
    pub readonly: bool,

    /// How long the guest may trust what it has cached
    ///
    /// `never`: not at all, and no page cache of file data. `metadata`: names and attributes
    /// for a day, file data not. `auto`: names and attributes for a second, file data until the
    /// file is opened again. `always`: a day for all; only for a share that no other process
    /// changes.
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "auto",
        ignore_case = true,
        value_parser = values::cache_policy()
    )]
    pub cache: CachePolicy,

    /// Let the guest mmap files shared although --cache=never or metadata keeps no file data
    ///
    /// Only for a directory that no other process changes.
    #[arg(long)]
    pub allow_mmap: bool,

    /// Let the guest collect writes in its page cache before it sends them
    #[arg(long, overrides_with = "no_writeback")]
    pub writeback: bool,
    /// Undo of --writeback, for `-o no_writeback`
    #[arg(long, hide = true, action = ArgAction::SetTrue)]
    pub no_writeback: bool,

    /// Pass the guest's O_DIRECT on to the host's open
    #[arg(long, overrides_with = "no_allow_direct_io")]
    pub allow_direct_io: bool,
    /// Undo of --allow-direct-io, for `-o no_allow_direct_io`
    #[arg(long, hide = true)]
    pub no_allow_direct_io: bool,

    /// Answer READDIR only, never READDIRPLUS (implied by --cache=never)
    #[arg(long, overrides_with = "readdirplus")]
    pub no_readdirplus: bool,
    /// Undo of --no-readdirplus, for `-o readdirplus`
    #[arg(long, hide = true)]
    pub readdirplus: bool,

    /// Show the guest the host's mount points below DIR as mount points (default)
    #[arg(long)]
    pub announce_submounts: bool,

    /// Show one flat file system, in which inode numbers may collide
    #[arg(long, overrides_with = "announce_submounts")]
    pub no_announce_submounts: bool,

    /// Whether the guest's locks (flock, POSIX, OFD) are the host's
    ///
    /// By default they stay in the guest's kernel: host and guests don't see each other's. With
    /// `host` the daemon takes them on the shared files, so that host, other guests and file servers
    /// see them. A lock says who may write, not what a guest has cached: add --cache=never for files
    /// that are kept open. A Linux guest's process that waits for such a lock can't be killed or time
    /// out, and a guest that holds one can't be migrated.
    #[arg(long, value_name = "WHOSE", value_enum, default_value_t = LockScope::Guest)]
    pub locks: LockScope,

    /// How the daemon remembers a file that the guest knows
    ///
    /// `never`: by an open descriptor each. `prefer`: by a file handle where the file system has
    /// them. `mandatory`: by a file handle, or the file is refused. Handles save descriptors and
    /// need CAP_DAC_READ_SEARCH. `fallback` is an old name of `prefer`.
    #[arg(
        long,
        value_name = "MODE",
        default_value = "prefer",
        value_parser = values::inode_file_handles()
    )]
    pub inode_file_handles: InodeFileHandles,

    /// Offer extended attributes to the guest
    #[arg(long, overrides_with = "no_xattr")]
    pub xattr: bool,
    /// Undo of --xattr, for `-o no_xattr`
    #[arg(long, hide = true)]
    pub no_xattr: bool,

    /// Rules that rename extended attributes between guest and host (implies --xattr)
    ///
    /// For example `:map::user.virtiofs.:` keeps all of the guest's attributes below
    /// `user.virtiofs.` on the host. The rules are virtiofsd's.
    #[arg(long, value_name = "RULES", value_parser = values::xattrmap)]
    pub xattrmap: Option<XattrMap>,

    /// POSIX ACLs (implies --xattr): `auto` if the guest can, `always` insists
    #[arg(
        long,
        value_name = "never|auto|always",
        require_equals = true,
        num_args = 0..=1,
        default_value = "never",
        default_missing_value = "always"
    )]
    pub posix_acl: NegotiationMode,

    /// Security labels set when a file is created (implies --xattr): `auto` if the guest can
    #[arg(
        long,
        value_name = "never|auto|always",
        require_equals = true,
        num_args = 0..=1,
        default_value = "never",
        default_missing_value = "always"
    )]
    pub security_label: NegotiationMode,

    /// Clear set-user-ID and set-group-ID bits on write in the daemon (FUSE_HANDLE_KILLPRIV_V2)
    #[arg(long, overrides_with = "no_killpriv_v2")]
    pub killpriv_v2: bool,

    /// Leave those bits to the guest (default)
    #[arg(long)]
    pub no_killpriv_v2: bool,

    /// Keep O_NOATIME of the guest's opens, which fails for files of other users unprivileged
    #[arg(long)]
    pub preserve_noatime: bool,

    /// Translate user IDs between guest and host: TYPE:FROM:TO:COUNT, may be repeated
    ///
    /// Done by the daemon, without a user namespace. `guest`: a range of guest IDs to host IDs.
    /// `host`: host IDs to guest IDs. `map`: both ways, the guest's range first. `squash-guest`
    /// and `squash-host`: a whole range to the one ID given as TO. `forbid-guest:FROM:COUNT`: the
    /// guest gets an error when it uses such an ID. Not together with --posix-acl.
    #[arg(long, value_name = "MAP", value_parser = values::id_map)]
    pub translate_uid: Vec<IdMap>,

    /// The same for group IDs
    #[arg(long, value_name = "MAP", value_parser = values::id_map)]
    pub translate_gid: Vec<IdMap>,
}

/// `--inode-file-handles`, which has one deprecated spelling to warn of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InodeFileHandles {
    /// The mode, as virtiofsd has it.
    pub mode: InodeFileHandlesMode,
    /// Whether the mode was written as `fallback`, the deprecated name of `prefer`.
    pub deprecated_name: bool,
}
