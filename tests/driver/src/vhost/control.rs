// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The control connection, which the VM and its back-end channel share.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, ReentrantMutex, ReentrantMutexGuard};
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};

use super::VhostError;
use super::watchdog::Watchdog;
use crate::window::{Announce, Mapping};

/// The guest address of the window, like that of a 64 bit BAR.
pub(super) const WINDOW_BASE: u64 = 0x80_0000_0000;

/// Regions that SET_MEM_TABLE has room for (`VHOST_MEMORY_BASELINE_NREGIONS`).
pub(super) const MOST_REGIONS: usize = 8;

/// The control connection.
pub(crate) struct Control {
    frontend: Frontend,
    watchdog: Watchdog,
    /// A second handle of the socket, used to close it.
    pub(super) connection: UnixStream,
    /// Held during a request. The channel also holds it while it serves a request, if one thread
    /// does both.
    main_loop: ReentrantMutex<()>,
    /// The mappings that the daemon knows as memory regions, by window offset.
    announced: Mutex<BTreeMap<u64, (Mapping, u64)>>,
    started: AtomicBool,
    memory: Mutex<Vec<VhostUserMemoryRegionInfo>>,
    window_base: AtomicU64,
    pub(super) protocol_features: VhostUserProtocolFeatures,
}

impl Control {
    pub(super) fn new(
        frontend: Frontend,
        connection: UnixStream,
        watchdog: Watchdog,
        protocol_features: VhostUserProtocolFeatures,
    ) -> Arc<Self> {
        Arc::new(Self {
            frontend,
            watchdog,
            connection,
            main_loop: ReentrantMutex::default(),
            announced: Mutex::default(),
            started: AtomicBool::new(false),
            memory: Mutex::default(),
            window_base: AtomicU64::new(WINDOW_BASE),
            protocol_features,
        })
    }

    /// Makes a request as the main loop does: no other request runs meanwhile.
    pub(super) fn request<T>(
        &self,
        request: &'static str,
        make: impl FnOnce(&mut Frontend) -> vhost::Result<T>,
    ) -> Result<T, VhostError> {
        let _busy = self.main_loop.lock();
        self.request_within(request, make)
    }

    /// No other request runs until the guard is dropped.
    pub(super) fn main_loop(&self) -> ReentrantMutexGuard<'_, ()> {
        self.main_loop.lock()
    }

    pub(super) fn set_started(&self, started: bool) {
        self.started.store(started, Ordering::SeqCst);
    }

    pub(super) fn set_memory(&self, memory: Vec<VhostUserMemoryRegionInfo>) {
        *self.memory.lock() = memory;
    }

    /// The guest address of the window.
    pub(super) fn window_base(&self) -> u64 {
        self.window_base.load(Ordering::SeqCst)
    }

    /// Sets the guest address of the window.
    pub(super) fn set_window_base(&self, base: u64) {
        self.window_base.store(base, Ordering::SeqCst);
    }

    /// The number of all regions, memory and mappings.
    pub(super) fn regions(&self) -> usize {
        self.memory.lock().len() + self.announced.lock().len()
    }

    /// Sends the whole table, as QEMU does if the daemon lacks CONFIGURE_MEM_SLOTS. If the table
    /// does not fit into the message, this is only logged, and the daemon keeps its previous table.
    pub(super) fn tell_table(&self) -> Result<(), VhostError> {
        let regions = self.regions();
        if regions > MOST_REGIONS {
            log::info!("{regions} memory regions are not told: SET_MEM_TABLE has no room");
            return Ok(());
        }
        let mut table = self.memory.lock().clone();
        let mappings = self.announced.lock().values().cloned().collect::<Vec<_>>();
        let mapped = mappings.iter();
        table.extend(mapped.map(|(mapping, address)| self.region(mapping, *address)));
        table.sort_by_key(|region| region.guest_phys_addr);
        self.request_within("SET_MEM_TABLE", |frontend| {
            frontend.set_mem_table(&table).map(drop)
        })
    }

    fn region(&self, mapping: &Mapping, address: u64) -> VhostUserMemoryRegionInfo {
        VhostUserMemoryRegionInfo {
            guest_phys_addr: self.window_base() + mapping.at.0,
            memory_size: mapping.len,
            userspace_addr: address,
            mmap_offset: mapping.from.0,
            mmap_handle: mapping.file.as_raw_fd(),
        }
    }

    /// The same for a caller that already is the main loop.
    pub(super) fn request_within<T>(
        &self,
        request: &'static str,
        make: impl FnOnce(&mut Frontend) -> vhost::Result<T>,
    ) -> Result<T, VhostError> {
        ask(&self.watchdog, request, || make(&mut self.frontend.clone()))
    }

    /// Tells the daemon of all changes since the last announcement, as `vhost_dev_start` does.
    pub(crate) fn announce_changes(&self, now: Vec<(Mapping, u64)>) {
        if !self.has_slots() {
            let now = now.into_iter();
            *self.announced.lock() = now.map(|one| (one.0.at.0, one)).collect();
            self.tell_anew();
            return;
        }
        let before: Vec<_> = self.announced.lock().values().cloned().collect();
        let same = |a: &Mapping, b: &Mapping| {
            (a.at, a.len, a.from) == (b.at, b.len, b.from) && Arc::ptr_eq(&a.file, &b.file)
        };
        for (gone, address) in before {
            if !now.iter().any(|(mapping, _)| same(mapping, &gone)) {
                self.remove(&gone, address);
            }
        }
        for (mapping, address) in now {
            if !self.announced.lock().contains_key(&mapping.at.0) {
                self.add(&mapping, address);
            }
        }
    }

    /// Records that the daemon has got another table, without mappings.
    pub(super) fn forget_announced(&self) {
        self.announced.lock().clear();
    }

    /// Sends the table again. As in QEMU, an error is logged and the VM goes on.
    fn tell_anew(&self) {
        if let Err(error) = self.tell_table() {
            log::error!("SET_MEM_TABLE for a mapping: {error:?}");
        }
    }

    /// Whether the daemon is told of regions one by one.
    pub(super) fn has_slots(&self) -> bool {
        let slots = VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS;
        self.protocol_features.contains(slots)
    }

    fn announce(
        &self,
        request: &'static str,
        make: impl FnOnce(&mut Frontend) -> vhost::Result<()>,
    ) -> bool {
        // As in QEMU: an error is logged, and the VM goes on.
        let made = self.request_within(request, make);
        made.inspect_err(|error| log::error!("{request} for a mapping: {error:?}"))
            .is_ok()
    }
}

impl Announce for Control {
    fn is_started(&self) -> bool {
        self.started.load(Ordering::SeqCst)
    }

    fn memory_regions(&self) -> usize {
        self.memory.lock().len()
    }

    fn is_limited(&self) -> bool {
        self.has_slots()
    }

    fn add(&self, mapping: &Mapping, address: u64) {
        if !self.has_slots() {
            let known = (mapping.clone(), address);
            self.announced.lock().insert(mapping.at.0, known);
            return self.tell_anew();
        }
        let region = self.region(mapping, address);
        let told = self.announce("ADD_MEM_REG", |frontend| {
            frontend.add_mem_region(&region).map(drop)
        });
        if told {
            let known = (mapping.clone(), address);
            self.announced.lock().insert(mapping.at.0, known);
        }
    }

    fn remove(&self, mapping: &Mapping, address: u64) {
        if self.announced.lock().remove(&mapping.at.0).is_none() {
            return;
        }
        if !self.has_slots() {
            return self.tell_anew();
        }
        let region = self.region(mapping, address);
        let _ = self.announce("REM_MEM_REG", |frontend| {
            frontend.remove_mem_region(&region)
        });
    }

    fn abort(&self) {
        log::error!("the VM ends: it has too many memory regions");
        // Fails only if the socket is closed already.
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}

/// Makes one request, which has to be answered in time.
pub(super) fn ask<T>(
    watchdog: &Watchdog,
    request: &'static str,
    make: impl FnOnce() -> vhost::Result<T>,
) -> Result<T, VhostError> {
    watchdog
        .during(make)
        .map_err(|source| match watchdog.expired() {
            Some(patience) => VhostError::TimedOut { request, patience },
            None => VhostError::Request { request, source },
        })
}
