// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Submits requests, and takes returned ones.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use virtio_bindings::bindings::virtio_ring::{
    VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE, VRING_USED_F_NO_NOTIFY,
};

use super::chains::Chains;
use super::{Descriptor, Layout, Notifier, QueueError, QueueOptions, RawQueue, Waiting};
use crate::memory::GuestSpan;
use crate::units::QueueIndex;

const NEXT: u16 = VRING_DESC_F_NEXT as u16;
const WRITE: u16 = VRING_DESC_F_WRITE as u16;
const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;
const NO_NOTIFY: u16 = VRING_USED_F_NO_NOTIFY as u16;

/// A request that the device has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The token that [`Queue::submit`] was given.
    pub token: u64,
    /// The number of bytes that the device claims to have written.
    pub len: u32,
}

/// Counters of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// Requests made available.
    pub submitted: u64,
    /// Requests returned.
    pub returned: u64,
    /// Kicks sent.
    pub kicks: u64,
    /// Kicks that were left out because the device did not want one.
    pub kicks_saved: u64,
    /// How often the driver slept until an interrupt.
    pub sleeps: u64,
}

/// The driver's half of one virtqueue.
#[derive(Debug)]
pub struct Queue {
    pub(super) layout: Arc<Layout>,
    pub(super) notifier: Notifier,
    pub(super) options: QueueOptions,
    pub(super) waiting: Waiting,
    chains: Chains,
    available: u16,
    /// The available index at the last decision to kick or not to kick.
    announced: u16,
    pub(super) seen: u16,
    pub(super) stats: QueueStats,
}

impl Queue {
    pub(crate) fn new(layout: Arc<Layout>, notifier: Notifier, options: QueueOptions) -> Self {
        let chains = Chains::new(layout.size());
        let mut queue = Self {
            layout,
            notifier,
            options,
            waiting: Waiting::default(),
            chains,
            available: 0,
            announced: 0,
            seen: 0,
            stats: QueueStats::default(),
        };
        queue.suppress_interrupts();
        queue
    }

    /// The queue's number.
    pub fn index(&self) -> QueueIndex {
        self.notifier.queue()
    }

    /// The queue's settings.
    pub fn options(&self) -> QueueOptions {
        self.options
    }

    /// The counters so far.
    pub fn stats(&self) -> QueueStats {
        self.stats
    }

    /// How many requests the device holds.
    pub fn in_flight(&self) -> usize {
        self.chains.requests()
    }

    /// The event descriptors.
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Direct access to rings and tables, for drivers that break the rules.
    pub fn raw(&mut self) -> RawQueue<'_> {
        RawQueue::new(self)
    }

    /// Makes a request available; [`Queue::kick`] notifies the device.
    ///
    /// # Errors
    /// [`QueueError::Full`] until a request has been returned; [`QueueError::Buffers`].
    pub fn submit(
        &mut self,
        readable: &[GuestSpan],
        writable: &[GuestSpan],
        token: u64,
    ) -> Result<(), QueueError> {
        let count = readable.len() + writable.len();
        let buffers = readable.iter().map(|span| (span, 0));
        let buffers = buffers.chain(writable.iter().map(|span| (span, WRITE)));
        let head = if self.options.indirect && count > 1 {
            self.put_table(buffers, count, token)?
        } else {
            self.put_chain(buffers, count, token)?
        };
        self.layout.put_available(self.available, head);
        self.available = self.available.wrapping_add(1);
        let index = self.layout.available_index();
        index.store(self.available, Ordering::Release);
        self.stats.submitted += 1;
        Ok(())
    }

    /// Notifies the device of new requests, unless the device has suppressed notifications.
    ///
    /// # Errors
    /// [`QueueError::Event`].
    pub fn kick(&mut self) -> Result<(), QueueError> {
        let (old, new) = (self.announced, self.available);
        if old == new {
            return Ok(());
        }
        self.announced = new;
        // The device must see the requests before the driver reads whether the device wants a kick.
        fence(Ordering::SeqCst);
        let wanted = if self.options.event_index {
            let event = self.layout.available_event().load(Ordering::Relaxed);
            // VIRTIO 1.3, 2.7.7.1: whether `event` is among the new requests.
            new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
        } else {
            self.layout.used_flags().load(Ordering::Relaxed) & NO_NOTIFY == 0
        };
        if wanted {
            self.stats.kicks += 1;
            self.notifier.send_kick()
        } else {
            self.stats.kicks_saved += 1;
            Ok(())
        }
    }

    /// The next returned request, if there is one.
    ///
    /// # Errors
    /// [`QueueError::NotInFlight`] if the device returns a request that it does not hold.
    #[inline]
    pub fn poll(&mut self) -> Result<Option<Used>, QueueError> {
        if !self.has_returns() {
            return Ok(None);
        }
        let (id, len) = self.layout.used_element(self.seen);
        self.seen = self.seen.wrapping_add(1);
        let queue = self.index();
        let token = self
            .chains
            .end(id)
            .ok_or(QueueError::NotInFlight { id, queue })?;
        self.stats.returned += 1;
        Ok(Some(Used { token, len }))
    }

    /// Empties the queue, for a device that starts again. Requests in flight are dropped.
    pub fn restart(&mut self) {
        self.layout.clear();
        self.chains = Chains::new(self.layout.size());
        (self.available, self.announced, self.seen) = (0, 0, 0);
        self.suppress_interrupts();
    }

    fn has_returns(&self) -> bool {
        self.layout.used_index() != self.seen
    }

    fn put_chain<'a>(
        &mut self,
        buffers: impl Iterator<Item = (&'a GuestSpan, u16)>,
        count: usize,
        token: u64,
    ) -> Result<u16, QueueError> {
        if count == 0 || count > self.layout.size() {
            return Err(QueueError::Buffers(count));
        }
        if self.chains.free() < count {
            return Err(QueueError::Full { wanted: count });
        }
        let head = self.chains.take();
        let mut this = head;
        for (place, (span, flags)) in buffers.enumerate() {
            let last = place + 1 == count;
            let next = if last { 0 } else { self.chains.take() };
            let flags = if last { flags } else { flags | NEXT };
            self.layout
                .put_descriptor(this, descriptor(*span, flags, next));
            self.chains.link(this, next);
            this = next;
        }
        self.chains.begin(head, token, count as u16);
        Ok(head)
    }

    fn put_table<'a>(
        &mut self,
        buffers: impl Iterator<Item = (&'a GuestSpan, u16)>,
        count: usize,
        token: u64,
    ) -> Result<u16, QueueError> {
        if count > self.options.table_entries.into() {
            return Err(QueueError::Buffers(count));
        }
        if self.chains.free() == 0 {
            return Err(QueueError::Full { wanted: 1 });
        }
        let head = self.chains.take();
        for (entry, (span, flags)) in buffers.enumerate() {
            let last = entry + 1 == count;
            let flags = if last { flags } else { flags | NEXT };
            let next = if last { 0 } else { entry as u16 + 1 };
            self.layout
                .put_indirect(head, entry, descriptor(*span, flags, next));
        }
        let table = GuestSpan {
            addr: self.layout.table_address(head),
            len: (count * size_of::<Descriptor>()) as u32,
        };
        self.layout
            .put_descriptor(head, descriptor(table, INDIRECT, 0));
        self.chains.begin(head, token, 1);
        Ok(head)
    }
}

fn descriptor(span: GuestSpan, flags: u16, next: u16) -> Descriptor {
    Descriptor {
        addr: span.addr.0,
        len: span.len,
        flags,
        next,
    }
}
