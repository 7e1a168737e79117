// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory as both crate families see it.
//!
//! With a window QEMU sends `ADD_MEM_REG` or `REM_MEM_REG` to every vhost-user device of the VM
//! for each mapping, so tables of several hundred regions change all the time. The mirror
//! therefore takes over every region that did not change. The latest one is kept for the next
//! request, and with it the files of its regions; so it has to be renewed when a region goes, or a
//! file that is mapped no longer would stay in use until the guest asks for something else.

use std::sync::Arc;

use parking_lot::Mutex;
use vhost_user_backend_022::bitmap::BitmapMmapRegion as ServerBitmap;
use vm_memory::{
    Address, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap,
    GuestMemoryRegion,
};
use vm_memory_017 as vm17;

/// Dirty bitmap of the transport's regions; the only one that migration reads.
pub type TransportBitmap = vhost_user_backend::bitmap::BitmapMmapRegion;
/// One generation of guest memory, as the transport maps it.
pub type TransportMemory = GuestMemoryMmap<TransportBitmap>;
/// The current generation of guest memory, replaced by the control thread.
pub type AtomicMemory = GuestMemoryAtomic<TransportMemory>;

/// Guest memory in the form that virtiofsd's `Reader` and `Writer` are made for.
pub(super) type ServerMemory = vm17::GuestMemoryMmap<ServerBitmap>;
type ServerRegion = vm17::GuestRegionMmap<ServerBitmap>;

/// Guest memory cannot be shown to the FUSE server.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// A region was refused, for example because its host address is not page aligned.
    #[error("cannot mirror the guest memory region at {start:#x}")]
    Region {
        /// First guest address of the region.
        start: u64,
        /// Why vm-memory refused it.
        #[source]
        source: vm17::mmap::MmapRegionError,
    },
    /// A region ends past the last guest address.
    #[error("the guest memory region at {start:#x} wraps around")]
    Wraps {
        /// First guest address of the region.
        start: u64,
    },
    /// The regions cannot stand in one table.
    #[error("cannot mirror the table of guest memory regions")]
    Table(#[source] vm17::GuestRegionCollectionError),
}

/// One generation of guest memory in both forms.
pub struct Snapshot {
    /// Mirrors `transport` region for region; pointers into its mappings.
    server: ServerMemory,
    /// The same regions as `server`, to be taken over by the next generation.
    regions: Vec<Arc<ServerRegion>>,
    /// Owns the mappings.
    transport: Arc<TransportMemory>,
}

impl Snapshot {
    /// The transport's view, which owns the mappings and the dirty bitmaps.
    #[must_use]
    pub fn transport(&self) -> &Arc<TransportMemory> {
        &self.transport
    }

    pub(super) fn server(&self) -> &ServerMemory {
        &self.server
    }

    fn build(
        transport: Arc<TransportMemory>,
        previous: Option<&Snapshot>,
    ) -> Result<Self, MirrorError> {
        let mut regions = Vec::with_capacity(transport.num_regions());
        for region in transport.iter() {
            let start = region.start_addr().raw_value();
            let kept = previous.and_then(|old| old.find(start, region.as_ptr(), region.size()));
            let mirrored = match kept {
                Some(mirrored) => mirrored,
                None => Arc::new(mirror(region)?),
            };
            regions.push(mirrored);
        }
        let server = if regions.is_empty() {
            ServerMemory::new()
        } else {
            ServerMemory::from_arc_regions(regions.clone()).map_err(MirrorError::Table)?
        };
        Ok(Self {
            server,
            regions,
            transport,
        })
    }

    /// The region of this generation that shows exactly these bytes, if there is one.
    fn find(&self, start: u64, host: *mut u8, size: usize) -> Option<Arc<ServerRegion>> {
        use vm17::{Address as _, GuestMemoryRegion as _};
        let at = self
            .regions
            .binary_search_by_key(&start, |region| region.start_addr().raw_value())
            .ok()?;
        let region = &self.regions[at];
        (region.as_ptr() == host && region.size() == size).then(|| Arc::clone(region))
    }
}

/// Shows one transport region to the FUSE server.
fn mirror(
    region: &vm_memory::GuestRegionMmap<TransportBitmap>,
) -> Result<ServerRegion, MirrorError> {
    let start = region.start_addr().raw_value();
    // SAFETY: the pointer and the size are those of a live mapping that `region` owns. The new
    // region does not own it (vm-memory never unmaps a raw region), and it is only reachable
    // through a `Snapshot`, which keeps `region`'s table alive for as long as it lives.
    let mapping = unsafe {
        vm17::MmapRegion::build_raw(
            region.as_ptr(),
            region.size(),
            region.prot(),
            region.flags(),
        )
    }
    .map_err(|source| MirrorError::Region { start, source })?;
    ServerRegion::new(mapping, vm17::GuestAddress(start)).ok_or(MirrorError::Wraps { start })
}

/// Keeps the mirror of the current memory table.
#[derive(Default)]
pub struct MemoryMirror {
    latest: Mutex<Option<Arc<Snapshot>>>,
}

impl MemoryMirror {
    /// Both forms of the memory table that is current now.
    ///
    /// # Errors
    /// When a region cannot be mirrored; the next call tries again.
    pub fn of(&self, memory: &AtomicMemory) -> Result<Arc<Snapshot>, MirrorError> {
        // Asked for under the lock, so that an old table never takes the place of a newer one.
        let mut latest = self.latest.lock();
        let current = memory.memory().into_inner();
        if let Some(snapshot) = latest.as_ref()
            && Arc::ptr_eq(&snapshot.transport, &current)
        {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(Snapshot::build(current, latest.as_deref())?);
        *latest = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::{AtomicMemory, MemoryMirror, TransportBitmap, TransportMemory};
    use std::sync::Arc;
    use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryBackend, GuestRegionMmap};
    use vm_memory_017::Bytes as _;

    const PAGE: usize = 4096;

    fn region(start: u64) -> Arc<GuestRegionMmap<TransportBitmap>> {
        Arc::new(GuestRegionMmap::from_range(GuestAddress(start), PAGE, None).expect("region"))
    }

    fn replace(memory: &AtomicMemory, table: TransportMemory) {
        memory.lock().expect("memory lock").replace(table);
    }

    #[test]
    fn both_forms_show_the_same_bytes() {
        let memory = AtomicMemory::new(TransportMemory::from_arc_regions(vec![region(0)]).unwrap());
        let snapshot = MemoryMirror::default().of(&memory).expect("mirror");
        memory
            .memory()
            .write_obj(0x1234_5678_u32, GuestAddress(16))
            .expect("write");
        let seen: u32 = snapshot
            .server()
            .read_obj(vm_memory_017::GuestAddress(16))
            .expect("read");
        assert_eq!(seen, 0x1234_5678);
    }

    #[test]
    fn an_unchanged_table_is_not_rebuilt_and_unchanged_regions_are_kept() {
        let memory = AtomicMemory::new(TransportMemory::from_arc_regions(vec![region(0)]).unwrap());
        let mirror = MemoryMirror::default();
        let first = mirror.of(&memory).expect("first");
        assert!(Arc::ptr_eq(&first, &mirror.of(&memory).expect("again")));

        let grown = memory.memory().insert_region(region(0x10_0000)).unwrap();
        replace(&memory, grown);
        let second = mirror.of(&memory).expect("second");
        assert_eq!(second.regions.len(), 2);
        assert!(Arc::ptr_eq(&first.regions[0], &second.regions[0]));

        let (shrunk, _) = memory
            .memory()
            .remove_region(GuestAddress(0), PAGE as u64)
            .unwrap();
        replace(&memory, shrunk);
        let third = mirror.of(&memory).expect("third");
        assert_eq!(third.regions.len(), 1);
        assert!(Arc::ptr_eq(&second.regions[1], &third.regions[0]));
    }

    #[test]
    fn another_mapping_at_the_same_guest_address_is_not_mistaken_for_the_old_one() {
        let memory = AtomicMemory::new(TransportMemory::from_arc_regions(vec![region(0)]).unwrap());
        let mirror = MemoryMirror::default();
        // Holding the first snapshot keeps its mapping, so the second has another host address.
        let first = mirror.of(&memory).expect("first");
        replace(
            &memory,
            TransportMemory::from_arc_regions(vec![region(0)]).unwrap(),
        );
        let second = mirror.of(&memory).expect("second");
        assert!(!Arc::ptr_eq(&first.regions[0], &second.regions[0]));
    }

    #[test]
    fn an_empty_table_has_an_empty_mirror() {
        let memory = AtomicMemory::new(TransportMemory::new());
        let snapshot = MemoryMirror::default().of(&memory).expect("mirror");
        assert_eq!(snapshot.transport().num_regions(), 0);
    }
}
