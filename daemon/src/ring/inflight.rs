// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which requests the daemon has taken and not returned, in memory that outlives it.
//!
//! The VMM keeps the memory and passes it to the next daemon (the protocol's INFLIGHT_SHMFD). Its
//! layout is the specification's, so any back end can read it: for each split virtqueue a header,
//! and an entry for each descriptor. The rest of the design is in `design.md`, "A daemon that is
//! started again".
//!
//! The order of the stores keeps the memory consistent wherever the daemon may be killed. An entry
//! is marked before its request is served. The head that is being returned is stored before the
//! used ring moves, and its entry is unmarked afterwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64};

use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, SealFlags};
use vhost::vhost_user::message::VhostUserInflight;
use vm_memory::{FileOffset, MmapRegion};

use crate::adapter::HeadIndex;

/// A queue's part is a multiple of this size.
const ALIGNMENT: usize = 64;
/// The only version. The value is 0 in memory that no daemon has used yet.
const VERSION: u16 = 1;

/// The header of a queue's part, in the specification's layout.
#[repr(C)]
struct Header {
    _features: AtomicU64,
    version: AtomicU16,
    size: AtomicU16,
    /// The head of the last returned request.
    last_head: AtomicU16,
    /// The used ring's index at that time.
    used: AtomicU16,
}

/// An entry for each descriptor, after the header.
#[repr(C)]
struct Entry {
    in_flight: AtomicU8,
    _padding: [u8; 5],
    /// The head of the request that was returned before this one.
    next: AtomicU16,
    /// Higher for a request that was taken later.
    counter: AtomicU64,
}

const HEADER: usize = size_of::<Header>();
const ENTRY: usize = size_of::<Entry>();
const _: () = assert!(HEADER == 16 && ENTRY == 16);

/// The memory cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InflightError {
    /// The memory is missing, or too small for the VMM's description.
    #[error("{size} bytes cannot hold the requests in flight of {queues} queues of {queue_size}")]
    Size {
        size: u64,
        queues: u16,
        queue_size: u16,
    },
    /// The host refused.
    #[error("cannot map the memory for requests in flight")]
    System(#[source] io::Error),
}

/// The memory that the VMM has passed last.
#[derive(Default)]
pub(crate) struct Inflight {
    area: Mutex<Option<Arc<Area>>>,
}

struct Area {
    memory: MmapRegion<()>,
    /// Device, inode and offset, which identify the memory.
    identity: (u64, u64, u64),
    queues: u16,
    queue_size: u16,
}

fn queue_len(queue_size: u16) -> usize {
    (HEADER + ENTRY * usize::from(queue_size)).next_multiple_of(ALIGNMENT)
}

impl Inflight {
    /// Makes new memory, for `GET_INFLIGHT_FD`. It comes into use when the VMM passes it back.
    pub(crate) fn create(
        asked: &VhostUserInflight,
    ) -> Result<(VhostUserInflight, File), InflightError> {
        let system = |errno: rustix::io::Errno| InflightError::System(errno.into());
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("inflight", flags).map_err(system)?);
        let VhostUserInflight {
            num_queues,
            queue_size,
            ..
        } = *asked;
        let size = (usize::from(num_queues) * queue_len(queue_size)) as u64;
        file.set_len(size).map_err(InflightError::System)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).map_err(system)?;
        let made = VhostUserInflight::new(size, 0, num_queues, queue_size);
        Ok((made, file))
    }

    /// Uses this memory from the next start of each ring on, for `SET_INFLIGHT_FD`.
    pub(crate) fn install(
        &self,
        told: &VhostUserInflight,
        file: File,
    ) -> Result<(), InflightError> {
        let VhostUserInflight {
            mmap_size: size,
            mmap_offset: offset,
            num_queues: queues,
            queue_size,
        } = *told;
        let needed = usize::from(queues) * queue_len(queue_size);
        let metadata = file.metadata().map_err(InflightError::System)?;
        let is_there = offset
            .checked_add(size)
            .is_some_and(|end| end <= metadata.len());
        let len = usize::try_from(size).ok().filter(|len| *len >= needed);
        let len = len.filter(|_| queues > 0 && is_there);
        let len = len.ok_or(InflightError::Size {
            size,
            queues,
            queue_size,
        })?;
        let identity = (metadata.dev(), metadata.ino(), offset);
        let mut area = self.area.lock();
        if area.as_ref().is_none_or(|old| old.identity != identity) {
            let memory = MmapRegion::from_file(FileOffset::new(file, offset), len)
                .map_err(|error| InflightError::System(io::Error::other(error)))?;
            *area = Some(Arc::new(Area {
                memory,
                identity,
                queues,
                queue_size,
            }));
        }
        Ok(())
    }

    /// The log of a queue of this size, if the memory has one.
    pub(super) fn log(&self, queue: usize, size: u16) -> Option<QueueLog> {
        let area = self.area.lock().clone()?;
        let fits = queue < usize::from(area.queues) && size <= area.queue_size;
        fits.then(|| QueueLog {
            start: queue * queue_len(area.queue_size),
            size,
            counter: 0,
            area,
        })
    }
}

/// A queue's part of the memory.
pub(super) struct QueueLog {
    area: Arc<Area>,
    start: usize,
    size: u16,
    /// The counter of the next taken request: it records the order.
    counter: u64,
}

impl QueueLog {
    /// Whether both are the same part of the same memory.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.area, &other.area) && self.size == other.size
    }

    fn header(&self) -> &Header {
        // SAFETY: `install` has checked that the mapped memory has a part for each queue, and parts
        // are aligned. Another process that maps the memory may change it at any time, which
        // atomics allow.
        unsafe { &*self.area.memory.as_ptr().add(self.start).cast() }
    }

    fn entries(&self) -> &[Entry] {
        // SAFETY: as above; `size` is at most the size that `install` has checked.
        unsafe {
            let first = self.area.memory.as_ptr().add(self.start + HEADER);
            slice::from_raw_parts(first.cast(), usize::from(self.size))
        }
    }

    /// None for a head beyond this queue's size: the VMM has enlarged the queue meanwhile.
    fn entry(&self, HeadIndex(head): HeadIndex) -> Option<&Entry> {
        self.entries().get(usize::from(head))
    }

    /// The requests that another daemon has taken and not returned, in the order in which it took
    /// them. `used` is the used ring's index.
    pub(super) fn recover(&mut self, used: u16) -> Vec<HeadIndex> {
        let header = self.header();
        if header.version.load(Acquire) != VERSION {
            header.size.store(self.size, Release);
            header.used.store(used, Release);
            header.version.store(VERSION, Release);
            return Vec::new();
        }
        // That daemon ended after it had moved the used ring, and before it recorded that in the
        // memory.
        let returned = used.wrapping_sub(header.used.load(Acquire)).min(self.size);
        let mut head = header.last_head.load(Acquire);
        for _ in 0..returned {
            let Some(entry) = self.entry(HeadIndex(head)) else {
                break;
            };
            entry.in_flight.store(0, Release);
            head = entry.next.load(Acquire);
        }
        header.used.store(used, Release);
        let mut left: Vec<(u64, HeadIndex)> = (0..)
            .zip(self.entries())
            .filter(|(_, entry)| entry.in_flight.load(Acquire) == 1)
            .map(|(head, entry)| (entry.counter.load(Acquire), HeadIndex(head)))
            .collect();
        left.sort_by_key(|(counter, _)| *counter);
        self.counter = left
            .last()
            .map_or(0, |(counter, _)| counter.wrapping_add(1));
        left.into_iter().map(|(_, head)| head).collect()
    }

    pub(super) fn take(&mut self, head: HeadIndex) {
        if let Some(entry) = self.entry(head) {
            entry.counter.store(self.counter, Release);
            entry.in_flight.store(1, Release);
            self.counter = self.counter.wrapping_add(1);
        }
    }

    pub(super) fn begin_return(&self, head: HeadIndex) {
        if let Some(entry) = self.entry(head) {
            let last_head = &self.header().last_head;
            entry.next.store(last_head.load(Acquire), Release);
            last_head.store(head.0, Release);
        }
    }

    pub(super) fn end_return(&self, head: HeadIndex, used: u16) {
        if let Some(entry) = self.entry(head) {
            entry.in_flight.store(0, Release);
            self.header().used.store(used, Release);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::ring) const QUEUE_SIZE: u16 = 16;

    /// Memory for two queues.
    pub(in crate::ring) fn memory() -> (VhostUserInflight, File) {
        let asked = VhostUserInflight::new(0, 0, 2, QUEUE_SIZE);
        Inflight::create(&asked).unwrap()
    }

    #[test]
    fn memory_that_is_too_small_is_refused() {
        let (told, file) = memory();
        let inflight = Inflight::default();
        let more = VhostUserInflight {
            num_queues: told.num_queues + 1,
            ..told
        };
        let refused = inflight.install(&more, file.try_clone().unwrap());
        assert!(matches!(refused, Err(InflightError::Size { .. })));
        let longer = VhostUserInflight {
            mmap_size: told.mmap_size + 4096,
            ..told
        };
        let refused = inflight.install(&longer, file.try_clone().unwrap());
        assert!(matches!(refused, Err(InflightError::Size { .. })));
        inflight.install(&told, file).unwrap();
        assert!(inflight.log(2, QUEUE_SIZE).is_none());
        assert!(inflight.log(1, QUEUE_SIZE + 1).is_none());
    }
}
