// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab share`.

use std::{convert::Infallible, num::NonZeroU16, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use qemu_guest::{
    accel::AccelChoice,
    artifacts::KernelSpec,
    vm::machine::{ByteSize, Tag},
    vm::process::Dax,
};

use crate::qemu::QemuArg;

/// Linux maps this much at a time, so a smaller window can hold no mapping.
const MIN_WINDOW: ByteSize = ByteSize::mib(2);
/// The largest window that the daemon accepts.
const MAX_WINDOW: ByteSize = ByteSize::mib(64 << 10);
/// With less memory a stock kernel with its initramfs does not boot.
const MIN_MEMORY: ByteSize = ByteSize::mib(128);
/// Memory and window together must fit into the 40 bits that QEMU's translator can address.
const MAX_MEMORY: ByteSize = ByteSize::mib(512 << 10);
/// More CPUs need an interrupt remapper, which the guests don't have.
const MAX_CPUS: u16 = 255;
/// The request queues that the daemon serves at most.
const MAX_QUEUES: u16 = 63;

/// Starts a guest with DIR at /share and gives a shell in it, or runs one command there
///
/// The command's standard input, output, error and exit status are passed through. Everything
/// that is fetched is kept in $DAXLAB_CACHE, $XDG_CACHE_HOME/daxlab or ~/.cache/daxlab.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: the command's own (128 + N when signal N killed it); 127 when the guest has no such \
command and 126 when it can't start it; 125 when the guest could not be started or was lost; 2 for \
a mistake on this command line; 128 + N when signal N ended daxlab.")]
pub struct ShareArgs {
    /// The directory to share
    pub dir: PathBuf,

    /// Size of the DAX window: a power of two, 2M to 64G [default: 512M]
    #[arg(long, value_name = "SIZE", value_parser = window, conflicts_with = "no_dax")]
    pub window: Option<ByteSize>,

    /// Which files use the window, as the daemon's --dax: inode leaves out small files and programs,
    /// always maps every file that can be mapped
    ///
    /// A mapped program can't be run on the host, and a program that runs there can't be mapped.
    #[arg(long, value_enum, default_value = "inode", conflicts_with = "no_dax")]
    pub dax: DaxArg,

    /// Another directory, at /mnt/TAG in the guest; with :ro the guest can change nothing in it. May
    /// be repeated
    #[arg(
        long = "share",
        value_name = "TAG=DIR[:ro]",
        conflicts_with = "dry_run"
    )]
    pub others: Vec<OtherShare>,

    /// The guest's programs: `host` has those of this machine, a directory those of the Linux system
    /// in it, as debootstrap makes one [default: busybox only]
    ///
    /// The guest's root is this directory then, by a share of its own that may only be read. The
    /// guest's root user can read every file in it. What the guest writes outside of its shares is
    /// in its memory, and gone when it ends. The kernel needs overlayfs, as Debian's have.
    #[arg(long, value_name = "host|DIR", conflicts_with = "dry_run")]
    pub root: Option<Root>,

    /// Boot the Linux system on this disk (raw or qcow2, written to), with its console on this terminal;
    /// mount the shares there by their tags
    ///
    /// The disk needs a boot loader for a BIOS, and a kernel with virtio_blk and virtiofs that has its
    /// console on ttyS0. With --kernel the disk needs no kernel: all of it is the root file system,
    /// for which the given kernel needs no module. The exit status is that of QEMU.
    #[arg(
        long,
        value_name = "IMAGE",
        conflicts_with_all = ["root", "command", "dry_run", "modules"]
    )]
    pub disk: Option<PathBuf>,

    /// Give the guest a network: `user` reaches what this machine reaches; this machine is 10.0.2.2
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "dry_run")]
    pub net: Option<NetArg>,

    /// Further options for the daemon of each share, after those that this command gives, as a
    /// shell would split them: --daemon '--xattr --posix-acl=auto'. May be repeated
    #[arg(long = "daemon", value_name = "OPTIONS", allow_hyphen_values = true)]
    pub daemon: Vec<String>,

    /// Request queues of each share
    #[arg(long, value_name = "N", default_value = "1", value_parser = queues)]
    pub queues: NonZeroU16,

    /// The guest's memory
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = memory)]
    pub memory: ByteSize,

    /// The guest's CPUs
    #[arg(long, value_name = "N", default_value = "2", value_parser = cpus)]
    pub cpus: NonZeroU16,

    /// debian:6.1, debian:6.12, debian:latest; build:BASE or build:BASE+CHANGE, such as build:7.3 and
    /// build:6.12+seed; or the path of a bzImage or of a configured source tree, which is built
    /// [default: debian:6.12]
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Option<KernelSpec>,

    /// The modules of a kernel given by its path (its lib/modules/RELEASE folder)
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,

    /// The name by which the guest mounts the share
    #[arg(long, default_value = "share")]
    pub tag: Tag,

    /// Let the guest change nothing; with a stock QEMU such a share has no window
    #[arg(long)]
    pub read_only: bool,

    /// Share without a window
    #[arg(long)]
    pub no_dax: bool,

    /// Have the daemon show what it does: its --metrics, for a browser, Prometheus or `daxlab top`
    #[arg(long, value_name = "ADDR|PATH")]
    pub metrics: Option<String>,

    /// Print the daemon's and QEMU's command lines, ready to paste, and start nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Which QEMU.
    #[command(flatten)]
    pub qemu: QemuArg,

    /// Start QEMU without libqemu_guard.so: a truncated file or a full disk then kills the VM
    #[arg(long)]
    pub no_guard: bool,

    /// What runs the guest's CPUs; auto takes KVM only if a probe guest boots under it
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,

    /// Say what is being done, and what is amiss, also when standard error is no terminal
    #[arg(long, short)]
    pub verbose: bool,

    /// The command to run in the guest, in /share; without one: a shell
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// Another directory to share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherShare {
    /// Its tag, and its name below /mnt.
    pub tag: Tag,
    /// The directory.
    pub dir: PathBuf,
    /// Whether the guest may change nothing.
    pub read_only: bool,
}

impl FromStr for OtherShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tag, dir) = text
            .split_once('=')
            .ok_or("this is TAG=DIR, or TAG=DIR:ro")?;
        if matches!(tag, "." | "..") || tag.contains('/') {
            return Err(format!("{tag} can't be a folder's name below /mnt"));
        }
        let (dir, read_only) = match dir.strip_suffix(":ro") {
            Some(dir) => (dir, true),
            None => (dir, false),
        };
        Ok(Self {
            tag: tag.parse().map_err(one_line)?,
            dir: dir.into(),
            read_only,
        })
    }
}

/// Where the guest's programs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// This machine's own root.
    Host,
    /// A directory with a Linux system.
    Dir(PathBuf),
}

impl FromStr for Root {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "host" => Self::Host,
            dir => Self::Dir(dir.into()),
        })
    }
}

/// The kinds of network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetArg {
    /// QEMU's network in user space
    User,
}

/// The words for [`Dax`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DaxArg {
    /// Files of 256 KiB and more that have no execute permission
    Inode,
    /// Every file that can be mapped
    Always,
}

impl From<DaxArg> for Dax {
    fn from(arg: DaxArg) -> Self {
        match arg {
            DaxArg::Inode => Self::Inode,
            DaxArg::Always => Self::Always,
        }
    }
}

/// The words for [`AccelChoice`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AccelArg {
    /// KVM where it really runs guests, else TCG
    Auto,
    /// KVM or nothing
    Kvm,
    /// QEMU's translator
    Tcg,
}

impl From<AccelArg> for AccelChoice {
    fn from(arg: AccelArg) -> Self {
        match arg {
            AccelArg::Auto => Self::Auto,
            AccelArg::Kvm => Self::Kvm,
            AccelArg::Tcg => Self::Tcg,
        }
    }
}

fn window(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(one_line)?;
    // QEMU aborts for other sizes (pci_register_bar).
    if !(MIN_WINDOW..=MAX_WINDOW).contains(&size) || !size.bytes().is_power_of_two() {
        return Err(format!(
            "a window is a power of two from {MIN_WINDOW} to {MAX_WINDOW}; for none, use --no-dax"
        ));
    }
    Ok(size)
}

fn memory(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(one_line)?;
    let whole = size.bytes().is_multiple_of(ByteSize::mib(1).bytes());
    if !(MIN_MEMORY..=MAX_MEMORY).contains(&size) || !whole {
        return Err(format!(
            "a guest's memory is a multiple of 1M from {MIN_MEMORY} to {MAX_MEMORY}"
        ));
    }
    Ok(size)
}

fn cpus(text: &str) -> Result<NonZeroU16, String> {
    let cpus = text.parse::<NonZeroU16>().ok();
    cpus.filter(|cpus| cpus.get() <= MAX_CPUS)
        .ok_or_else(|| format!("a guest has 1 to {MAX_CPUS} CPUs"))
}

fn queues(text: &str) -> Result<NonZeroU16, String> {
    let queues = text.parse::<NonZeroU16>().ok();
    queues
        .filter(|queues| queues.get() <= MAX_QUEUES)
        .ok_or_else(|| format!("a share has 1 to {MAX_QUEUES} request queues"))
}

fn one_line(error: impl std::fmt::Display) -> String {
    error.to_string()
}
