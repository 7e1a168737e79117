// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A queue for drivers that break the rules.

use std::sync::atomic::Ordering;

use super::{Descriptor, Layout, Notifier, Queue, QueueError};

/// An entry of the used ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedElement {
    /// The head that the device names.
    pub id: u32,
    /// The number of bytes that the device claims to have written.
    pub len: u32,
}

/// Writes any value to any place in a queue. The queue's own state does not follow: use only one of
/// the two, or call [`Queue::restart`] in between.
#[derive(Debug)]
pub struct RawQueue<'a> {
    layout: &'a Layout,
    notifier: &'a Notifier,
}

impl<'a> RawQueue<'a> {
    pub(super) fn new(queue: &'a mut Queue) -> Self {
        Self {
            layout: &queue.layout,
            notifier: &queue.notifier,
        }
    }

    /// Number of descriptors. Indices wrap at it.
    pub fn size(&self) -> u16 {
        self.layout.size() as u16
    }

    /// Writes a descriptor of the table.
    pub fn put_descriptor(&mut self, index: u16, descriptor: Descriptor) {
        self.layout.put_descriptor(index, descriptor);
    }

    /// Writes an entry of the available ring.
    pub fn put_available(&mut self, entry: u16, head: u16) {
        self.layout.put_available(entry, head);
    }

    /// The available index that was written last.
    pub fn available_index(&self) -> u16 {
        self.layout.available_index().load(Ordering::Relaxed)
    }

    /// Sets the available index, with or without new entries.
    pub fn set_available_index(&mut self, index: u16) {
        let place = self.layout.available_index();
        place.store(index, Ordering::Release);
    }

    /// The device's used index.
    pub fn used_index(&self) -> u16 {
        self.layout.used_index()
    }

    /// The used ring's entry at this index.
    pub fn used_element(&self, index: u16) -> UsedElement {
        let (id, len) = self.layout.used_element(index);
        UsedElement { id, len }
    }

    /// Kicks, whether the device wants it or not.
    ///
    /// # Errors
    /// [`QueueError::Event`].
    pub fn kick(&mut self) -> Result<(), QueueError> {
        self.notifier.send_kick()
    }

    /// The event descriptors.
    pub fn notifier(&self) -> &Notifier {
        self.notifier
    }
}
