// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The expected outcome of each contract on each kind of kernel.

use std::fmt;

use dax_measure::lab::{Contract, Outcome};

use super::{Pin, Reference, RemovalKind};
use crate::host::FileSystem;

/// What is known of a kernel's layout breaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelKind {
    /// The kernel waits for every reference, as Linux does. A kernel that the user supplies is
    /// expected to do the same.
    Stock,
    /// The kernel is 6.15 or later: an idle page has no reference, and removals also wait for pages
    /// of files without any mapping.
    Newer,
    /// Debian's 6.1. The end of direct I/O does not wake the waiter, because the bio's pages are
    /// put on a path without the wake-up (`docs/findings.md`, A). The close of an unlinked FUSE
    /// file can hang the share (F).
    NoBioWake,
    /// The kernel has the seed's change: it waits for pins only.
    Seed,
    /// The kernel has the lab's fixes, and is held to every contract. 6.12 keeps the bugs 2 and 4, which
    /// 6.15 has mended by another design.
    Fixed,
    /// The kernel never waits. Built to show that the lab notices.
    NoWait,
    /// The kernel never wakes a waiter. Built to show that the lab notices.
    NoWake,
}

impl KernelKind {
    /// The kind of a kernel, from its label on the command line and its own release name.
    pub fn of(label: &str, release: &str) -> Self {
        match label.split_once('+') {
            // A mutant of the seed is judged as the seed is.
            Some(("build:6.12", change))
                if change.trim_start_matches("mutant-").starts_with("seed") =>
            {
                Self::Seed
            }
            Some(("build:6.12" | "build:7.3", "fixes")) => Self::Fixed,
            Some(("build:6.12" | "build:7.3", "nowait")) => Self::NoWait,
            Some(("build:6.12" | "build:7.3", "nowake")) => Self::NoWake,
            None if label == "debian:6.1" => Self::NoBioWake,
            _ if version(release) >= Some(REWORKED) => Self::Newer,
            _ => Self::Stock,
        }
    }

    /// How this kernel holds a page for a pin.
    pub fn reference(self, pin: Pin) -> Reference {
        match (self, pin) {
            (Self::NoBioWake, Pin::FuseDioRead | Pin::FuseDioWrite) => Reference::Get,
            _ => pin.reference(),
        }
    }

    /// Whether this may be 6.15 or later. The lab has broken kernels of either age.
    pub fn may_be_newer(self) -> bool {
        matches!(self, Self::Newer | Self::NoWait | Self::NoWake)
    }

    /// The same kernel without the lab's change.
    pub fn unchanged(self) -> Self {
        match self {
            Self::Seed | Self::NoWait | Self::NoWake => Self::Stock,
            Self::Fixed => Self::Newer,
            Self::Stock | Self::Newer | Self::NoBioWake => self,
        }
    }
}

/// The first release with the new layout breaking: dax_break_layout() of fs/dax.c.
const REWORKED: (u32, u32) = (6, 15);

/// Major and minor number of a release such as `6.12.117+deb13-amd64`.
pub(crate) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

impl fmt::Display for KernelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stock => "stock",
            Self::Newer => "newer",
            Self::NoBioWake => "6.1",
            Self::Seed => "seed",
            Self::Fixed => "fixed",
            Self::NoWait => "nowait",
            Self::NoWake => "nowake",
        })
    }
}

/// What happens to a QEMU that loses a mapped page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vmm {
    /// QEMU 11.1 with the library that keeps a lost page from ending it (`qemu/guard`): the guest
    /// reads zeros there. It may abort where a range is removed under a transfer of its own (G).
    Guarded,
    /// QEMU 11.1 without the library: it also dies of SIGBUS.
    Unguarded,
    /// A QEMU whose window is one memory region (`qemu/patches/qemu`): the guest reads zeros, and a
    /// transfer ends in the memory that it began with.
    OneRegion,
}

/// The accepted outcomes of a removal under a pin, on [`Vmm::Unguarded`].
pub fn expected(
    kernel: KernelKind,
    fs: FileSystem,
    pin: Pin,
    removal: RemovalKind,
) -> Vec<Outcome> {
    use Outcome::{Complained, Hung, Proceeded, Refused, Stuck, VmDied, Waited};
    match removal.contract(fs) {
        Contract::MustWait => match (kernel, pin.reference()) {
            (KernelKind::NoBioWake, _) if pin.ends_with_bio() => vec![Stuck],
            (
                KernelKind::Stock | KernelKind::Newer | KernelKind::Fixed | KernelKind::NoBioWake,
                _,
            )
            | (KernelKind::Seed, Reference::Pin) => vec![Waited],
            (KernelKind::Seed, Reference::Get) | (KernelKind::NoWait, _) => {
                slipped(kernel, fs, pin, removal)
            }
            (KernelKind::NoWake, _) => vec![Stuck],
        },
        Contract::MayProceed if drops_busy_pages(fs, removal) => match (kernel, pin.reference()) {
            // The kernel warns where a stock kernel would wait.
            (KernelKind::Seed, Reference::Get) => vec![Proceeded],
            _ => vec![Complained],
        },
        // The removal proceeds. The last close of the file comes at the end of the case.
        Contract::MayProceed if kernel == KernelKind::NoBioWake && takes_name(fs, removal) => {
            vec![Proceeded, Hung]
        }
        Contract::MayProceed => vec![Proceeded],
        Contract::MustRefuse => vec![Refused],
        Contract::KnownLimit => vec![VmDied],
    }
}

/// The section of `docs/findings.md` about this outcome, if there is one.
pub fn finding(
    kernel: KernelKind,
    fs: FileSystem,
    pin: Pin,
    removal: RemovalKind,
) -> Option<&'static str> {
    let must_wait = removal.contract(fs) == Contract::MustWait;
    match (kernel, pin.reference()) {
        _ if drops_busy_pages(fs, removal) => Some("17"),
        (KernelKind::NoBioWake, Reference::Pin) if must_wait => Some("A"),
        (KernelKind::NoBioWake, _) if takes_name(fs, removal) => Some("F"),
        _ => None,
    }
}

/// Whether Linux drops pages in use from the page cache, and warns of it.
fn drops_busy_pages(fs: FileSystem, removal: RemovalKind) -> bool {
    (fs, removal) == (FileSystem::Fuse, RemovalKind::CopyOver)
}

/// Whether the removal leaves an open FUSE file without a name.
fn takes_name(fs: FileSystem, removal: RemovalKind) -> bool {
    fs == FileSystem::Fuse && matches!(removal, RemovalKind::Unlink | RemovalKind::RenameOver)
}

/// The outcomes of a removal that does not wait although it must.
fn slipped(kernel: KernelKind, fs: FileSystem, pin: Pin, removal: RemovalKind) -> Vec<Outcome> {
    use RemovalKind::{CloneFrom, Fallocate, Insert, ReclaimInline, ReclaimWorker};
    if removal == Fallocate || removal == CloneFrom && !pin.writes_page() {
        // The file keeps its memory. From 6.15 on, the break of layouts drops the pages, too, and Linux
        // warns of one in use.
        return match kernel {
            KernelKind::NoWait => vec![Outcome::Proceeded, Outcome::Complained],
            _ => vec![Outcome::Proceeded],
        };
    }
    let reclaim = matches!(removal, ReclaimInline | ReclaimWorker);
    if fs == FileSystem::Fuse && matches!(pin, Pin::FuseDioRead | Pin::FuseDioWrite) {
        // The share's daemon knows the page by its offset in the file, not by the range. Data that
        // is written is in the request already. Data that is read arrives late: in the hole of the
        // file, or in the file that has grown again. If only the range is gone, the data arrives
        // where it belongs.
        return match removal {
            ReclaimInline | ReclaimWorker => vec![Outcome::Proceeded],
            _ if pin.writes_page() => vec![Outcome::Harmed],
            _ => vec![Outcome::Complained],
        };
    }
    if reclaim && pin.reference() == Reference::Pin {
        // QEMU keeps the range's memory until the transfer ends. QEMU aborts if the transfer drops
        // the last reference to that memory (G). If another reference remains, the memory still
        // belongs to the file's page.
        return vec![Outcome::VmDied, Outcome::Proceeded];
    }
    // The request has already carried the page's bytes to the disk. Only the reply is delayed.
    let done = pin.reference() == Reference::Pin && !pin.writes_page();
    if done || removal == Insert {
        // Linux warns when it drops pages in use. The seed counts only FOLL_PIN as a use.
        return match kernel {
            KernelKind::Seed => vec![Outcome::Proceeded],
            _ => vec![Outcome::Complained],
        };
    }
    // The host's file ends before the page. Data from a disk arrives after the file has grown
    // again.
    match fs == FileSystem::Fuse && removal.shortens() && pin.reference() == Reference::Get {
        true => vec![Outcome::VmDied],
        false => vec![Outcome::Harmed],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_told_by_its_name_and_its_release() {
        let of = KernelKind::of;
        assert_eq!(of("debian:6.12", "6.12.117+deb13-amd64"), KernelKind::Stock);
        assert_eq!(of("debian:6.1", "6.1.0-50-amd64"), KernelKind::NoBioWake);
        assert_eq!(of("bzImage", "6.1.170"), KernelKind::Stock);
        assert_eq!(of("debian:latest", "7.2.13+deb14-amd64"), KernelKind::Newer);
        assert_eq!(of("bzImage", "6.15.0-rc1"), KernelKind::Newer);
        assert_eq!(of("bzImage", "6.14.11"), KernelKind::Stock);
        assert_eq!(of("bzImage", "unknown"), KernelKind::Stock);
        let seed = of("build:6.12+seed", "6.12.117-daxlab-seed");
        assert_eq!(seed, KernelKind::Seed);
        let mutant = |label| of(label, "6.12.117-daxlab-mutant-x");
        assert_eq!(mutant("build:6.12+mutant-seed-warn"), KernelKind::Seed);
        assert_eq!(mutant("build:6.12+mutant-unkillable"), KernelKind::Stock);
        let newer = |label| of(label, "7.3.4-daxlab-x");
        assert_eq!(newer("build:7.3+nowait"), KernelKind::NoWait);
        assert_eq!(newer("build:7.3+mutant-unkillable"), KernelKind::Newer);
        assert_eq!(newer("build:7.3+fixes"), KernelKind::Fixed);
        assert_eq!(newer("build:7.3+debug"), KernelKind::Newer);
        let fixed = of("build:6.12+fixes", "6.12.117-daxlab-fixes");
        assert_eq!(fixed, KernelKind::Fixed);
    }
}
