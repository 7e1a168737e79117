// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The control side of the queues.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VringConfigData};

use super::{VhostError, Vm};
use crate::queue::{Layout, Notifier, Queue, QueueOptions};
use crate::units::QueueIndex;

/// The daemon's settings of a queue, and the queue until it is taken.
pub(super) struct Vring {
    index: usize,
    layout: Arc<Layout>,
    notifier: Notifier,
    size: u16,
    queue: Option<Queue>,
    /// The available index at which the daemon continues after a start.
    base: u16,
}

impl Vring {
    pub(super) fn new(
        index: usize,
        layout: Layout,
        notifier: Notifier,
        options: QueueOptions,
    ) -> std::io::Result<Self> {
        let layout = Arc::new(layout);
        let queue = Queue::new(Arc::clone(&layout), notifier.try_clone()?, options);
        Ok(Self {
            index,
            layout,
            notifier,
            size: options.size,
            queue: Some(queue),
            base: 0,
        })
    }

    /// The device is behind another connection, and continues where the used ring ends.
    pub(super) fn reconnect(&mut self, connection: &Arc<OwnedFd>) {
        self.notifier.reconnect(connection);
        self.base = self.layout.used_index();
    }

    /// Kicks without new requests, for a device that does not know what is available.
    pub(super) fn kick(&self) -> std::io::Result<()> {
        self.notifier.kick().write(1)
    }

    fn config(&self) -> VringConfigData {
        let [desc_table_addr, avail_ring_addr, used_ring_addr] = self.layout.user_addresses();
        VringConfigData {
            queue_max_size: self.size,
            queue_size: self.size,
            flags: 0,
            desc_table_addr,
            used_ring_addr,
            avail_ring_addr,
            log_addr: None,
        }
    }
}

impl Vm {
    /// Takes a queue. Each can be taken once.
    ///
    /// # Errors
    /// [`VhostError::NoQueue`].
    pub fn take_queue(&mut self, index: QueueIndex) -> Result<Queue, VhostError> {
        let vring = self.vrings.get_mut(index.0);
        let queue = vring.and_then(|vring| vring.queue.take());
        queue.ok_or(VhostError::NoQueue(index))
    }

    /// Starts a queue at the index of [`Vm::stop_queue`] or [`Vm::set_base`], as `vhost_dev_start`
    /// does.
    pub fn start_queue(&self, index: QueueIndex) -> Result<(), VhostError> {
        let vring = self.vring(index)?;
        let (queue, base) = (vring.index, vring.base);
        self.ask("SET_VRING_NUM", |f| f.set_vring_num(queue, vring.size))?;
        self.ask("SET_VRING_BASE", |f| f.set_vring_base(queue, base))?;
        self.ask("SET_VRING_ADDR", |f| {
            f.set_vring_addr(queue, &vring.config())
        })?;
        self.ask("SET_VRING_KICK", |f| {
            f.set_vring_kick(queue, vring.notifier.kick())
        })?;
        self.ask("SET_VRING_CALL", |f| {
            f.set_vring_call(queue, vring.notifier.call())
        })?;
        self.ask("SET_VRING_ENABLE", |f| f.set_vring_enable(queue, true))
    }

    /// Stops a queue by GET_VRING_BASE, and returns the index at which the daemon would continue.
    pub fn stop_queue(&mut self, index: QueueIndex) -> Result<u16, VhostError> {
        let queue = self.vring(index)?.index;
        let base = self.ask("GET_VRING_BASE", |f| f.get_vring_base(queue))?;
        // A split queue's base is its available index, of 16 bits.
        let base = base as u16;
        self.vrings[queue].base = base;
        Ok(base)
    }

    /// Enables or disables a queue that is set up.
    pub fn enable_queue(&self, index: QueueIndex, enable: bool) -> Result<(), VhostError> {
        let queue = self.vring(index)?.index;
        self.ask("SET_VRING_ENABLE", |f| f.set_vring_enable(queue, enable))
    }

    /// Sets the index at which the daemon begins when the queue starts; 0 after [`Queue::restart`].
    ///
    /// # Errors
    /// [`VhostError::NoQueue`].
    pub fn set_base(&mut self, index: QueueIndex, base: u16) -> Result<(), VhostError> {
        self.vring(index)?;
        self.vrings[index.0].base = base;
        Ok(())
    }

    /// All queues, in order.
    pub fn queue_indices(&self) -> impl Iterator<Item = QueueIndex> + use<> {
        (0..self.vrings.len()).map(QueueIndex)
    }

    fn vring(&self, index: QueueIndex) -> Result<&Vring, VhostError> {
        self.vrings.get(index.0).ok_or(VhostError::NoQueue(index))
    }

    fn ask<T>(
        &self,
        request: &'static str,
        make: impl FnOnce(&mut Frontend) -> vhost::Result<T>,
    ) -> Result<T, VhostError> {
        self.control.request(request, make)
    }
}
