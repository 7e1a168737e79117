// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The front end's access to a ring, through vhost-user-backend.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vhost_user_backend::{VringMutex, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::Error as QueueError;

use super::{Ring, position};
use crate::adapter::AtomicMemory;
use crate::ring::batch::NotificationBatch;
use crate::ring::coalescing::Coalescing;
use crate::ring::quiesce::RingQuiesce;

impl<'a> VringStateGuard<'a, AtomicMemory> for Ring {
    type G = <VringMutex<AtomicMemory> as VringStateGuard<'a, AtomicMemory>>::G;
}

impl<'a> VringStateMutGuard<'a, AtomicMemory> for Ring {
    type G = <VringMutex<AtomicMemory> as VringStateMutGuard<'a, AtomicMemory>>::G;
}

/// vhost-user-backend calls these on the control thread, except `read_kick`.
impl VringT<AtomicMemory> for Ring {
    fn new(mem: AtomicMemory, max_queue_size: u16) -> Result<Self, QueueError> {
        Ok(Self {
            vring: VringMutex::new(mem.clone(), max_queue_size)?,
            table: mem,
            memory: Arc::default(),
            quiesce: Arc::new(RingQuiesce::new()),
            batch: Arc::new(NotificationBatch::new()),
            pending_notification: Arc::new(AtomicBool::new(false)),
            coalescing: Arc::new(Coalescing::new()),
            pause: Arc::default(),
            log: Arc::default(),
            logs: Arc::default(),
        })
    }

    fn get_ref(&self) -> <Self as VringStateGuard<'_, AtomicMemory>>::G {
        self.vring.get_ref()
    }

    fn get_mut(&self) -> <Self as VringStateMutGuard<'_, AtomicMemory>>::G {
        self.vring.get_mut()
    }

    fn add_used(&self, desc_index: u16, len: u32) -> Result<(), QueueError> {
        self.vring.add_used(desc_index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.vring.signal_used_queue()
    }

    fn enable_notification(&self) -> Result<bool, QueueError> {
        Self::enable_notification(self)
    }

    fn disable_notification(&self) -> Result<(), QueueError> {
        Self::disable_notification(self)
    }

    fn needs_notification(&self) -> Result<bool, QueueError> {
        self.vring.needs_notification()
    }

    fn set_enabled(&self, enabled: bool) {
        self.vring.set_enabled(enabled);
        self.follow();
    }

    fn set_queue_info(
        &self,
        desc_table: u64,
        avail_ring: u64,
        used_ring: u64,
    ) -> Result<(), QueueError> {
        self.vring.set_queue_info(desc_table, avail_ring, used_ring)
    }

    fn queue_next_avail(&self) -> u16 {
        self.vring.queue_next_avail()
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.vring.set_queue_next_avail(base);
    }

    fn set_queue_next_used(&self, idx: u16) {
        self.vring.set_queue_next_used(idx);
    }

    fn queue_used_idx(&self) -> Result<u16, QueueError> {
        self.vring.queue_used_idx()
    }

    fn set_queue_size(&self, num: u16) {
        self.vring.set_queue_size(num);
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.vring.set_queue_event_idx(enabled);
    }

    /// `GET_VRING_BASE` calls this with `false` before it reads the base for its answer.
    fn set_queue_ready(&self, ready: bool) {
        self.vring.set_queue_ready(ready);
        self.follow();
        if !ready {
            self.quiesce.stop(|| position(&self.vring.get_ref()));
            // The ring's next owner does not know about this batch.
            self.notify();
        }
    }

    fn set_kick(&self, file: Option<File>) {
        self.vring.set_kick(file);
    }

    /// A kick that was already consumed is no error here. The event loop would end its thread on an
    /// error, and the case is normal: the front end may replace the kick fd while an event is on
    /// its way.
    fn read_kick(&self) -> io::Result<bool> {
        match self.vring.read_kick() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(self.vring.get_ref().is_enabled())
            }
            other => other,
        }
    }

    fn set_call(&self, file: Option<File>) {
        self.vring.set_call(file);
        let state = self.vring.get_ref();
        if state.get_call().is_some() && self.pending_notification.swap(false, Ordering::Relaxed) {
            self.signal(&state);
        }
    }

    fn set_err(&self, file: Option<File>) {
        self.vring.set_err(file);
    }
}
