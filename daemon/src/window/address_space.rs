// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Looks up guest addresses: memory, or mapped files.
//!
//! The VMM's table of memory regions holds both, because each live mapping of a window is a region.
//! QEMU tells a device without CONFIGURE_MEM_SLOTS its table only while there are at most
//! [`MOST_REGIONS`] regions. Beyond that the table is *stale*: it may have ranges that are gone, at
//! addresses where another file is mapped by now. So only regions that are memory are ever looked
//! up in it. Files are found otherwise:
//!
//! * in the window of this share, by the mappings that this daemon has made ([`LiveRanges`]). The
//!   window's own address is learnt from the VMM's table: [`crate::window::locate`];
//! * in the window of another share, by the table, and only with CONFIGURE_MEM_SLOTS, with which
//!   the table is up to date. Without it such an address is not found.
//!
//! # Locks
//! The control thread calls [`AddressSpace::update`]. The locks here are held for a few
//! instructions, and never during a call to the VMM.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use shared_window::{LiveRanges, WindowOffset, WindowSize, is_view};
use vm_memory::{
    GuestAddress, GuestAddressSpace, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap,
    MmapRegion,
};

use crate::adapter::{AtomicMemory, FilePiece, Mapped, TransportBitmap, TransportMemory};

/// Regions that fit into the one message that carries the whole table
/// (`VHOST_MEMORY_BASELINE_NREGIONS`).
pub(crate) const MOST_REGIONS: usize = 8;

/// How long a VMM may take from the first message of a start until it sends its memory table.
const STARTED_WITHIN: Duration = Duration::from_secs(5);

/// The window's address while it is unknown. No window begins there.
const UNKNOWN: u64 = u64::MAX;

type Region = GuestRegionMmap<TransportBitmap>;
type Mapping = Arc<MmapRegion<TransportBitmap>>;

/// A region that is a range of some window.
struct ViewRegion {
    len: u64,
    file: Arc<File>,
    offset: u64,
}

/// What a region is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    View,
    /// The mapping that reveals the window's address.
    Probe,
}

/// The window of this share.
struct OwnWindow {
    size: u64,
    ranges: Arc<LiveRanges>,
    /// The window's guest address.
    base: AtomicU64,
    /// The probe was seen since [`AddressSpace::expect_probe`].
    seen: AtomicBool,
    /// The device was started since the address was seen, so the window may have moved.
    restarted: AtomicBool,
    /// The probe's file and its place in the window, while it is mapped.
    probe: Mutex<Option<(FileNumber, WindowOffset)>>,
}

/// Identifies a file while it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileNumber {
    device: u64,
    inode: u64,
}

impl FileNumber {
    /// Uses what the kernel has cached, so it never waits for a file system.
    pub(crate) fn of(file: &File) -> Option<Self> {
        use rustix::fs::{AtFlags, StatxFlags};
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let known = rustix::fs::statx(file, c"", flags, StatxFlags::INO).ok()?;
        Some(Self {
            device: rustix::fs::makedev(known.stx_dev_major, known.stx_dev_minor),
            inode: known.stx_ino,
        })
    }
}

/// Whether the window's address could be learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Learnt {
    /// The address is known.
    Known,
    /// The VMM does not announce mappings.
    Untold,
    /// The VMM's table is full.
    Full,
}

/// See the module's documentation.
pub(crate) struct AddressSpace {
    /// The regions that are memory.
    memory: AtomicMemory,
    window: Option<OwnWindow>,
    /// The VMM announces each change of the table.
    up_to_date: bool,
    views: Mutex<BTreeMap<u64, ViewRegion>>,
    /// The kinds of the last table's regions. Only the control thread uses this.
    kinds: Mutex<HashMap<u64, (Mapping, Kind)>>,
    regions: AtomicUsize,
    /// The number of tables that the VMM has sent.
    tables: AtomicU64,
}

impl AddressSpace {
    /// An empty address space. `up_to_date` is whether the VMM announces each change of the table.
    pub(crate) fn new(window: Option<(WindowSize, Arc<LiveRanges>)>, up_to_date: bool) -> Self {
        Self {
            memory: AtomicMemory::new(TransportMemory::new()),
            window: window.map(|(size, ranges)| OwnWindow {
                size: size.bytes(),
                ranges,
                base: AtomicU64::new(UNKNOWN),
                seen: AtomicBool::new(false),
                restarted: AtomicBool::new(false),
                probe: Mutex::new(None),
            }),
            up_to_date,
            views: Mutex::default(),
            kinds: Mutex::default(),
            regions: AtomicUsize::new(0),
            tables: AtomicU64::new(0),
        }
    }

    /// The guest's memory, and nothing else.
    pub(crate) fn memory(&self) -> AtomicMemory {
        self.memory.clone()
    }

    /// Takes a new table of the VMM. Does not block.
    pub(crate) fn update(&self, table: &TransportMemory) {
        self.regions.store(table.num_regions(), Ordering::Release);
        self.tables.fetch_add(1, Ordering::Release);
        let kinds = self.classify(table);
        let mut memory = Vec::new();
        let mut views = BTreeMap::new();
        for region in table.iter() {
            let start = region.start_addr();
            let is_memory = matches!(kinds.get(&start.0), Some((_, Kind::Memory)));
            if is_memory && !self.is_in_window(start) {
                let shared = GuestRegionMmap::with_arc(region.get_mmap(), start);
                memory.extend(shared.map(Arc::new));
            } else if let Some(place) = region.file_offset() {
                let view = ViewRegion {
                    len: region.len(),
                    file: Arc::clone(place.arc()),
                    offset: place.start(),
                };
                views.insert(start.0, view);
            }
        }
        // A table's regions are sorted and don't overlap, so this fails only for an empty table.
        let memory = TransportMemory::from_arc_regions(memory).unwrap_or_default();
        *self.views.lock() = views;
        *self.kinds.lock() = kinds;
        if let Ok(current) = self.memory.lock() {
            current.replace(memory);
        }
    }

    /// Distinguishes views from memory, and finds the probe.
    fn classify(&self, table: &TransportMemory) -> HashMap<u64, (Mapping, Kind)> {
        let known = std::mem::take(&mut *self.kinds.lock());
        let kind_of = |region: &Region| {
            let (start, mapping) = (region.start_addr().0, region.get_mmap());
            let kind = match known.get(&start) {
                Some((before, kind)) if Arc::ptr_eq(before, &mapping) => *kind,
                _ => self.kind_of(region),
            };
            (start, (mapping, kind))
        };
        let kinds: HashMap<_, _> = table.iter().map(kind_of).collect();
        let probe = kinds.iter().find(|(_, (_, kind))| *kind == Kind::Probe);
        if let (Some(window), Some((start, _))) = (&self.window, probe)
            && let Some(base) = window.base_of_probe(*start)
        {
            window.base.store(base, Ordering::Release);
            window.restarted.store(false, Ordering::Release);
            window.seen.store(true, Ordering::Release);
        }
        kinds
    }

    fn kind_of(&self, region: &Region) -> Kind {
        let Some(place) = region.file_offset() else {
            return Kind::Memory;
        };
        let probe = self.window.as_ref().and_then(|own| *own.probe.lock());
        let probe = probe.map(|(number, _)| number);
        if probe.is_some() && FileNumber::of(place.file()) == probe {
            Kind::Probe
        } else if is_view(place.file().as_fd()) {
            Kind::View
        } else {
            Kind::Memory
        }
    }

    fn is_in_window(&self, address: GuestAddress) -> bool {
        let offset = |window: &OwnWindow| window.offset(address);
        self.window.as_ref().and_then(offset).is_some()
    }

    /// Sets the window's address, for tests.
    #[cfg(test)]
    pub(crate) fn lies_at(&self, base: u64) {
        if let Some(window) = &self.window {
            window.base.store(base, Ordering::Release);
        }
    }

    /// Records that the VMM starts the device. It may run another kernel by now, which has put the
    /// window elsewhere.
    pub(crate) fn restarted(self: &Arc<Self>) {
        let Some(window) = &self.window else {
            return;
        };
        window.restarted.store(true, Ordering::Release);
        let ranges = window.ranges.count();
        let regions = ranges + self.memory.memory().num_regions();
        if regions > MOST_REGIONS && !self.up_to_date {
            self.look_whether_started(ranges);
        }
    }

    /// Logs an error if the device is not started. QEMU 11.1 does not start a device whose table
    /// exceeds the message, and says so in its own log only. If QEMU has reset the device, it has
    /// dropped the ranges, and starts the device.
    fn look_whether_started(self: &Arc<Self>, ranges: usize) {
        let (space, before) = (Arc::clone(self), self.tables.load(Ordering::Acquire));
        let look = move || {
            // This is a sleep: nothing unparks the thread, and the system call filter does not
            // allow nanosleep.
            thread::park_timeout(STARTED_WITHIN);
            if space.tables.load(Ordering::Acquire) == before {
                log::error!(
                    "the VMM has not started the device again: QEMU can't while {ranges} ranges \
                     are mapped, so the share hangs until the guest is reset; --mem-slots is for \
                     VMs that are paused"
                );
            }
        };
        let started = thread::Builder::new()
            .name("started".to_owned())
            .spawn(look);
        if let Err(error) = started {
            log::debug!("no thread to see whether the device starts: {error}");
        }
    }

    /// Announces that `probe` will be mapped at offset `at` of the window.
    pub(crate) fn expect_probe(&self, probe: FileNumber, at: WindowOffset) {
        if let Some(window) = &self.window {
            window.seen.store(false, Ordering::Release);
            *window.probe.lock() = Some((probe, at));
        }
    }

    /// Whether the VMM has announced the probe as a region.
    pub(crate) fn has_seen_probe(&self) -> bool {
        let seen = |window: &OwnWindow| window.seen.load(Ordering::Acquire);
        self.window.as_ref().is_some_and(seen)
    }

    /// Records that the probe is unmapped. Returns what is known of the window's address.
    pub(crate) fn forget_probe(&self) -> Learnt {
        let Some(window) = &self.window else {
            return Learnt::Untold;
        };
        *window.probe.lock() = None;
        if !window.seen.load(Ordering::Acquire) && window.restarted.load(Ordering::Acquire) {
            window.base.store(UNKNOWN, Ordering::Release);
        }
        let full = self.regions.load(Ordering::Acquire) >= MOST_REGIONS;
        match window.base.load(Ordering::Acquire) {
            UNKNOWN if full && !self.up_to_date => Learnt::Full,
            UNKNOWN => Learnt::Untold,
            _ => Learnt::Known,
        }
    }
}

impl OwnWindow {
    /// The window's guest address, if its probe is a region at `start`.
    fn base_of_probe(&self, start: u64) -> Option<u64> {
        let (_, at) = (*self.probe.lock())?;
        start.checked_sub(at.0)
    }

    fn offset(&self, address: GuestAddress) -> Option<WindowOffset> {
        let base = self.base.load(Ordering::Acquire);
        let offset = address.0.checked_sub(base)?;
        (base != UNKNOWN && offset < self.size).then_some(WindowOffset(offset))
    }
}

impl Mapped for AddressSpace {
    fn at(&self, address: GuestAddress, len: u64) -> Option<FilePiece> {
        if let Some(window) = &self.window
            && let Some(offset) = window.offset(address)
        {
            let place = window.ranges.find(offset, len)?;
            return Some(FilePiece {
                file: place.view,
                offset: place.from.0,
                len: place.len,
            });
        }
        if !self.up_to_date {
            return None;
        }
        let views = self.views.lock();
        let (start, view) = views.range(..=address.0).next_back()?;
        let within = address.0 - start;
        let left = view.len.checked_sub(within).filter(|left| *left > 0)?;
        let file: Arc<File> = Arc::clone(&view.file);
        Some(FilePiece {
            file,
            offset: view.offset + within,
            len: left.min(len),
        })
    }
}

#[cfg(test)]
mod tests;
