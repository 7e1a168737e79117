// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which requests the daemon has taken and not returned, in memory that outlives it.
//!
//! The VMM keeps the memory and gives it to the next daemon (the protocol's INFLIGHT_SHMFD). What lies
//! there is the specification's, so that any back end understands it: for each split virtqueue a header
//! and an entry for each descriptor. Everything else of this design is in `design.md`, "A daemon that is
//! started again".
//!
//! The order of the stores makes the memory right at each moment at which the daemon may be killed: an
//! entry is marked before its request is served, and the head that is being returned is named before the
//! used ring moves and unmarked after it.

use std::collections::VecDeque;
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

/// A queue's part is a multiple of it.
const ALIGNMENT: usize = 64;
/// The only version there is. Memory that no daemon has used yet has 0.
const VERSION: u16 = 1;

/// The beginning of a queue's part, as the specification lays it out.
#[repr(C)]
struct Header {
    _features: AtomicU64,
    version: AtomicU16,
    size: AtomicU16,
    /// The head that was returned last.
    last_head: AtomicU16,
    /// Where the used ring ended then.
    used: AtomicU16,
}

/// What follows for each descriptor.
#[repr(C)]
struct Entry {
    in_flight: AtomicU8,
    _padding: [u8; 5],
    /// The head that was returned before this one.
    next: AtomicU16,
    /// The later a request was taken, the higher.
    counter: AtomicU64,
}

const HEADER: usize = size_of::<Header>();
const ENTRY: usize = size_of::<Entry>();
const _: () = assert!(HEADER == 16 && ENTRY == 16);

/// The memory cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InflightError {
    /// It is not there, or too small for what the VMM says of it.
    #[error("{size} bytes for requests in flight of {queues} queues of {queue_size}")]
    Size {
        size: u64,
        queues: u16,
        queue_size: u16,
    },
    /// The host refused.
    #[error("memory for requests in flight")]
    System(#[source] io::Error),
}

/// The memory, as the VMM has given it last.
#[derive(Default)]
pub(crate) struct Inflight {
    area: Mutex<Option<Arc<Area>>>,
}

struct Area {
    memory: MmapRegion<()>,
    /// Device, inode and offset: which memory it is.
    identity: (u64, u64, u64),
    queues: u16,
    queue_size: u16,
}

fn queue_len(queue_size: u16) -> usize {
    (HEADER + ENTRY * usize::from(queue_size)).next_multiple_of(ALIGNMENT)
}

impl Inflight {
    /// New memory, for `GET_INFLIGHT_FD`. It is in use when the VMM has given it back.
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

    /// What there is for a queue of this size.
    fn log(&self, queue: usize, size: u16) -> Option<QueueLog> {
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

/// A queue's part of it.
struct QueueLog {
    area: Arc<Area>,
    start: usize,
    size: u16,
    /// Tells in which order requests were taken.
    counter: u64,
}

impl QueueLog {
    fn header(&self) -> &Header {
        // SAFETY: `install` has checked that the mapped memory has a part for each queue, and parts are
        // aligned. Whoever else has the memory may change it at any time, which atomics allow.
        unsafe { &*self.area.memory.as_ptr().add(self.start).cast() }
    }

    fn entries(&self) -> &[Entry] {
        // SAFETY: as above; `size` is no more than what `install` was told.
        unsafe {
            let first = self.area.memory.as_ptr().add(self.start + HEADER);
            slice::from_raw_parts(first.cast(), usize::from(self.size))
        }
    }

    /// None for a head that no queue of this size has: the VMM has made it larger under way.
    fn entry(&self, HeadIndex(head): HeadIndex) -> Option<&Entry> {
        self.entries().get(usize::from(head))
    }

    /// What another daemon has taken and not returned, in the order in which it was taken. `used` is
    /// where the used ring ends.
    fn recover(&mut self, used: u16) -> Vec<HeadIndex> {
        let header = self.header();
        if header.version.load(Acquire) != VERSION {
            header.size.store(self.size, Release);
            header.used.store(used, Release);
            header.version.store(VERSION, Release);
            return Vec::new();
        }
        // That daemon ended between the used ring and the memory.
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

    fn take(&mut self, head: HeadIndex) {
        if let Some(entry) = self.entry(head) {
            entry.counter.store(self.counter, Release);
            entry.in_flight.store(1, Release);
            self.counter = self.counter.wrapping_add(1);
        }
    }

    fn begin_return(&self, head: HeadIndex) {
        if let Some(entry) = self.entry(head) {
            let last_head = &self.header().last_head;
            entry.next.store(last_head.load(Acquire), Release);
            last_head.store(head.0, Release);
        }
    }

    fn end_return(&self, head: HeadIndex, used: u16) {
        if let Some(entry) = self.entry(head) {
            entry.in_flight.store(0, Release);
            self.header().used.store(used, Release);
        }
    }
}

/// A ring's use of the memory. Its methods are called with the vring's lock held.
#[derive(Default)]
pub(crate) struct RingLog {
    source: Option<(Arc<Inflight>, usize)>,
    log: Option<QueueLog>,
    /// The ring was started since the log was begun.
    is_due: bool,
    /// What is to be served before anything else.
    again: VecDeque<HeadIndex>,
}

impl RingLog {
    /// Finds the ring's memory there from now on.
    pub(crate) fn lies_in(&mut self, inflight: &Arc<Inflight>, queue: usize) {
        self.source = Some((Arc::clone(inflight), queue));
    }

    /// The ring was started, so the log is to be begun before the next request is taken.
    pub(crate) fn start(&mut self) {
        self.is_due = true;
    }

    /// Whether that is to be done now.
    pub(crate) fn is_due(&mut self) -> bool {
        std::mem::take(&mut self.is_due)
    }

    /// Whether there is one.
    pub(crate) fn is_kept(&self) -> bool {
        self.log.is_some()
    }

    /// The ring was started. If that is the first time with this memory, what is under way from a
    /// daemon before is there to be taken up, and how much that is is returned.
    pub(crate) fn begin(&mut self, size: u16, used: u16) -> usize {
        let Some((inflight, queue)) = &self.source else {
            return 0;
        };
        let found = inflight.log(*queue, size);
        let is_known = match (&self.log, &found) {
            (Some(old), Some(new)) => Arc::ptr_eq(&old.area, &new.area) && old.size == new.size,
            _ => false,
        };
        if is_known {
            return 0;
        }
        self.log = found;
        let left = self.log.as_mut().map(|log| log.recover(used));
        self.again = left.unwrap_or_default().into();
        self.again.len()
    }

    /// The next request that is to be taken up.
    pub(crate) fn next_again(&mut self) -> Option<HeadIndex> {
        self.again.pop_front()
    }

    /// Takes it up later after all.
    pub(crate) fn put_back(&mut self, head: HeadIndex) {
        self.again.push_front(head);
    }

    pub(crate) fn take(&mut self, head: HeadIndex) {
        if let Some(log) = &mut self.log {
            log.take(head);
        }
    }

    /// Before the used ring has it.
    pub(crate) fn begin_return(&self, head: HeadIndex) {
        if let Some(log) = &self.log {
            log.begin_return(head);
        }
    }

    /// After that; `used` is where the used ring ends.
    pub(crate) fn end_return(&self, head: HeadIndex, used: u16) {
        if let Some(log) = &self.log {
            log.end_return(head, used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE_SIZE: u16 = 16;

    fn memory() -> (VhostUserInflight, File) {
        let asked = VhostUserInflight::new(0, 0, 2, QUEUE_SIZE);
        Inflight::create(&asked).unwrap()
    }

    /// A daemon's log of queue 1, and what it has to take up.
    fn daemon((told, file): &(VhostUserInflight, File), used: u16) -> (RingLog, Vec<u16>) {
        let inflight = Arc::new(Inflight::default());
        inflight.install(told, file.try_clone().unwrap()).unwrap();
        let mut log = RingLog::default();
        log.lies_in(&inflight, 1);
        log.begin(QUEUE_SIZE, used);
        let again: Vec<_> = log.again.iter().map(|head| head.0).collect();
        (log, again)
    }

    #[test]
    fn what_was_taken_and_not_returned_is_taken_up_in_order() {
        let memory = memory();
        let (mut log, again) = daemon(&memory, 7);
        assert!(again.is_empty());
        for head in [5, 0, 15, 2] {
            log.take(HeadIndex(head));
        }
        log.begin_return(HeadIndex(0));
        log.end_return(HeadIndex(0), 8);
        let (mut log, again) = daemon(&memory, 8);
        assert_eq!(again, [5, 15, 2]);
        log.take(HeadIndex(0));
        assert_eq!(daemon(&memory, 8).1, [5, 15, 2, 0]);
    }

    #[test]
    fn a_request_is_returned_when_the_used_ring_has_it() {
        let memory = memory();
        let (mut log, _) = daemon(&memory, 65535);
        log.take(HeadIndex(3));
        log.take(HeadIndex(4));
        log.begin_return(HeadIndex(3));
        assert_eq!(
            daemon(&memory, 65535).1,
            [3, 4],
            "the used ring has not moved"
        );
        log.begin_return(HeadIndex(3));
        assert_eq!(daemon(&memory, 0).1, [4], "it has");
        assert_eq!(daemon(&memory, 0).1, [4], "and is not unmarked twice");
    }

    #[test]
    fn the_same_daemon_takes_nothing_up_after_a_pause() {
        let memory = memory();
        let (mut log, _) = daemon(&memory, 0);
        log.take(HeadIndex(1));
        let (inflight, _) = log.source.clone().unwrap();
        inflight
            .install(&memory.0, memory.1.try_clone().unwrap())
            .unwrap();
        assert_eq!(log.begin(QUEUE_SIZE, 0), 0);
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
