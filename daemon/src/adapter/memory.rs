// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory, in the forms of both crate families.
//!
//! With a window QEMU sends `ADD_MEM_REG` or `REM_MEM_REG` to every vhost-user device of the VM for
//! each mapping, so tables of several hundred regions change all the time. So nothing here follows
//! the table. While virtiofsd's server reads a request, the one or two regions of the request's
//! buffers exist in the server's form. All other code uses the transport's form. Nothing is kept
//! between requests, so no file of a removed region stays open.

use vhost_user_backend_022::bitmap::BitmapMmapRegion as ServerBitmap;
use vm_memory::{
    Address, GuestAddress, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryMmap,
    GuestMemoryRegion,
};
use vm_memory_017 as vm17;

/// Dirty bitmap of the transport's regions; the only one that migration reads.
pub type TransportBitmap = vhost_user_backend::bitmap::BitmapMmapRegion;
/// One generation of guest memory, as the transport maps it.
pub type TransportMemory = GuestMemoryMmap<TransportBitmap>;
/// The current generation of guest memory, replaced by the control thread.
pub type AtomicMemory = GuestMemoryAtomic<TransportMemory>;

/// Guest memory in the form for virtiofsd's `Reader` and `Writer`.
type ServerMemory = vm17::GuestMemoryMmap<ServerBitmap>;
type ServerRegion = vm17::GuestRegionMmap<ServerBitmap>;
type TransportRegion = vm_memory::GuestRegionMmap<TransportBitmap>;

/// Guest memory cannot be shown to the FUSE server.
#[derive(Debug, thiserror::Error)]
pub enum ShadowMemoryError {
    /// A region was refused, for example because its host address is not page aligned.
    #[error("cannot make shadow memory of the guest memory region at {start:#x}")]
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
    #[error("cannot make a table of the regions of shadow memory")]
    Table(#[source] vm17::GuestRegionCollectionError),
}

/// Some regions of a transport's table in the server's form. They point into that table's mappings,
/// which this borrows.
pub(super) struct ShadowMemory<'a> {
    server: ServerMemory,
    _transport: &'a TransportMemory,
}

impl<'a> ShadowMemory<'a> {
    /// The regions of `transport` that contain these addresses. An address outside is skipped: the
    /// server finds it outside as well.
    pub(super) fn of(
        transport: &'a TransportMemory,
        addresses: impl IntoIterator<Item = GuestAddress>,
    ) -> Result<Self, ShadowMemoryError> {
        let mut used: Vec<&TransportRegion> = Vec::new();
        for address in addresses {
            // Usually the whole request lies in one region.
            if used.last().is_some_and(|last| contains(last, address)) {
                continue;
            }
            used.extend(transport.find_region(address));
        }
        used.sort_unstable_by_key(|region| region.start_addr());
        used.dedup_by_key(|region| region.start_addr());
        let server = if used.is_empty() {
            ServerMemory::new()
        } else {
            let mirrored: Result<Vec<_>, _> = used.into_iter().map(mirror).collect();
            ServerMemory::from_regions(mirrored?).map_err(ShadowMemoryError::Table)?
        };
        Ok(Self {
            server,
            _transport: transport,
        })
    }

    /// The server's form.
    pub(super) fn server(&self) -> &ServerMemory {
        &self.server
    }
}

fn contains(region: &TransportRegion, address: GuestAddress) -> bool {
    region.start_addr() <= address && address <= region.last_addr()
}

/// Shows one transport region to the FUSE server.
fn mirror(region: &TransportRegion) -> Result<ServerRegion, ShadowMemoryError> {
    let start = region.start_addr().raw_value();
    // SAFETY: the pointer and the size are those of a live mapping that `region` owns. The new
    // region does not own it (vm-memory never unmaps a raw region), and it is only reachable
    // through a `ShadowMemory`, which borrows `region`'s table for as long as it lives.
    let mapping = unsafe {
        vm17::MmapRegion::build_raw(
            region.as_ptr(),
            region.size(),
            region.prot(),
            region.flags(),
        )
    }
    .map_err(|source| ShadowMemoryError::Region { start, source })?;
    ServerRegion::new(mapping, vm17::GuestAddress(start)).ok_or(ShadowMemoryError::Wraps { start })
}

#[cfg(test)]
mod tests {
    use super::{ShadowMemory, TransportMemory};
    use vm_memory::{Bytes, GuestAddress};
    use vm_memory_017::{Bytes as _, GuestMemory as _};

    const PAGE: usize = 4096;
    /// Guest addresses from one region to the next.
    const STEP: u64 = 0x10_0000;

    fn memory(regions: u64) -> TransportMemory {
        let ranges: Vec<_> = (0..regions)
            .map(|region| (GuestAddress(region * STEP), PAGE))
            .collect();
        TransportMemory::from_ranges(&ranges).expect("memory")
    }

    #[test]
    fn both_forms_show_the_same_bytes() {
        let memory = memory(1);
        let mirror = ShadowMemory::of(&memory, [GuestAddress(16)]).expect("a mirror");
        memory
            .write_obj(0x1234_5678_u32, GuestAddress(16))
            .expect("write");
        let seen: u32 = mirror
            .server()
            .read_obj(vm_memory_017::GuestAddress(16))
            .expect("read");
        assert_eq!(seen, 0x1234_5678);
    }

    #[test]
    fn there_is_what_was_asked_for_and_no_more() {
        let memory = memory(500);
        let asked = [300, 7, 300, 8].map(|region| GuestAddress(region * STEP + 5));
        let mirror = ShadowMemory::of(&memory, asked).expect("a mirror");
        assert_eq!(mirror.server().num_regions(), 3);
        for (region, there) in [(7, true), (8, true), (300, true), (9, false), (0, false)] {
            let address = vm_memory_017::GuestAddress(region * STEP);
            assert_eq!(mirror.server().address_in_range(address), there, "{region}");
        }
    }

    #[test]
    fn addresses_outside_have_no_mirror() {
        let memory = memory(1);
        for asked in [vec![], vec![GuestAddress(PAGE as u64)]] {
            let mirror = ShadowMemory::of(&memory, asked).expect("a mirror");
            assert_eq!(mirror.server().num_regions(), 0);
        }
    }
}
