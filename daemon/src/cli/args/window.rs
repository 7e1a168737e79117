// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The DAX window: the options that virtiofsd doesn't have.

use clap::Args;

use crate::cli::values;
use crate::config::{DaxMode, DaxPolicy, Fault, HostTruncate, RequestedSize, WindowRequest};

/// Options of the DAX window.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "DAX window")]
pub struct WindowArgs {
    /// Size of the window: a power of two from 2M to 64G, or 0 for none [default: 512M, 256M with
    /// --mem-slots, or less by --max-regions]
    ///
    /// Linux maps ranges of 2 MiB. With --mem-slots a VM can have about 500 of them, over all of its
    /// shares, so more than 512M is rarely useful then. To make a window safe for QEMU takes Linux
    /// 6.9 and CAP_SYS_ADMIN. Without them the daemon warns and serves without a window, unless this
    /// option asks for one: then it is for VMMs that map files as they are.
    #[arg(long, value_name = "SIZE", value_parser = values::window_size)]
    pub dax_window: Option<RequestedSize>,

    /// Files that the guest is told to use the window for
    ///
    /// `inode`: those of at least --dax-min-size, but no programs (nothing with an execute
    /// permission), since a mapped file can't be executed on the host. `always`: all that can be
    /// mapped, which a program can be while the host is not running it. `never`: none, and no
    /// window. A file that the daemon may not write is mapped only by a VMM that keeps its guest from
    /// writing it, which QEMU 11.1 does not.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = DaxMode::Inode)]
    pub dax: DaxMode,

    /// Smallest file that --dax=inode names
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "256K",
        value_parser = values::size
    )]
    pub dax_min_size: u64,

    /// Whether other processes of the host may truncate a file while a guest has it mapped
    ///
    /// A page that is gone when the guest touches it can end QEMU. `refuse`: a truncate, an
    /// ftruncate or an open with O_TRUNC that would take a page fails with "Text file busy"
    /// (ETXTBSY). This needs Linux 6.14 and ext4, xfs or btrfs; without them the daemon warns and
    /// allows truncation. With it, opens and reads of mapped files by other processes take a few µs
    /// longer.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = HostTruncate::Allow)]
    pub host_truncate: HostTruncate,

    /// Memory regions that the VM may have, 0 for no limit but QEMU's [default: what the host's
    /// vhost devices take, else no limit]
    ///
    /// Each mapped range is a region, and vhost-net, vhost-vsock and vhost-scsi take only so many:
    /// 64, unless the module's parameter max_mem_regions says more; some vhost-user devices take 8.
    /// Such a device goes on with a stale table when there are more. The default window is small
    /// enough for such devices, and the daemon warns of a larger --dax-window. With this option it
    /// refuses mappings beyond N (the guest gets an I/O error), unless it finds that the VMM makes no
    /// region of a mapping.
    #[arg(long, value_name = "N")]
    pub max_regions: Option<usize>,

    /// Have the VMM tell each memory region that comes or goes
    ///
    /// Requests then reach files that are mapped in another share's window of the same VM, if that
    /// share's daemon has this option too. The price: QEMU 11.1 takes 512 regions in a VM, and each
    /// mapping is one; it ends when its guest resets with files mapped (a panic, `reboot -f`).
    /// Also for a VM that has 8 memory regions of its own.
    #[arg(long)]
    pub mem_slots: bool,

    /// Disable a safeguard, so that a test can show that it notices; for tests only
    #[arg(long, value_name = "FAULT", hide = true, value_enum)]
    pub fault: Vec<Fault>,
}

impl WindowArgs {
    /// The policy that the options describe.
    #[must_use]
    pub fn policy(&self) -> DaxPolicy {
        DaxPolicy {
            mode: self.dax,
            min_size: self.dax_min_size,
        }
    }

    /// The window that the options ask for. Share and host are checked later.
    #[must_use]
    pub fn request(&self) -> WindowRequest {
        WindowRequest::new(self.dax_window, self.dax, self.mem_slots)
    }
}
