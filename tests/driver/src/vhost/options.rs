// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What kind of VM it is.

use std::time::Duration;

use vhost::vhost_user::message::VhostUserProtocolFeatures;

use crate::fuse::Framing;
use crate::queue::QueueOptions;
use crate::window::Rules;

/// How long anything may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the VM takes the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowOption {
    /// No: as QEMU's vhost-user-fs device.
    Off,
    /// If the daemon has one.
    IfOffered(Rules),
    /// Yes, and it is an error if the daemon has none.
    Required(Rules),
}

/// What kind of VM it is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Request queues that are set up.
    pub request_queues: usize,
    /// Descriptors of each queue, a power of two.
    pub queue_size: u16,
    /// Whether to use VIRTIO_F_EVENT_IDX where it is offered.
    pub event_index: bool,
    /// Whether to use VIRTIO_F_INDIRECT_DESC where it is offered.
    pub indirect: bool,
    /// Descriptors that an indirect table has room for. Linux's READ of 128 KiB takes 35.
    pub table_entries: u16,
    /// How clients lay requests out, if they are not told otherwise.
    pub framing: Framing,
    /// Bytes of guest memory.
    pub memory: usize,
    /// Whether there is a window.
    pub window: WindowOption,
    /// Whether the VMM has SHARED_OBJECT where it has a window. QEMU does; crosvm and Cloud
    /// Hypervisor don't, and may end at such a request.
    pub shared_objects: bool,
    /// The protocol features that are acknowledged where they are offered, apart from those of the
    /// window, which [`Options::window`] decides about.
    pub protocol_features: VhostUserProtocolFeatures,
    /// Whether the VMM keeps what is in flight for a next daemon, where that is offered. The QEMU series
    /// does; QEMU 11.1 does not for this device.
    pub keeps_in_flight: bool,
    /// How long the daemon may take for anything.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request_queues: 1,
            queue_size: 128,
            event_index: true,
            indirect: true,
            table_entries: 64,
            framing: Framing::default(),
            memory: 64 << 20,
            window: WindowOption::IfOffered(Rules::qemu()),
            shared_objects: true,
            protocol_features: VhostUserProtocolFeatures::all(),
            keeps_in_flight: false,
            patience: PATIENCE,
        }
    }
}

impl Options {
    /// The rules of the window, if one is wanted.
    pub(super) fn rules(&self) -> Option<Rules> {
        match self.window {
            WindowOption::Off => None,
            WindowOption::IfOffered(rules) | WindowOption::Required(rules) => Some(rules),
        }
    }

    pub(super) fn queue(&self, event_index: bool, indirect: bool) -> QueueOptions {
        QueueOptions {
            size: self.queue_size,
            event_index,
            indirect,
            table_entries: self.table_entries,
        }
    }
}

/// What the device's configuration space says (VIRTIO 1.3, 5.11.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// The name that the guest mounts by.
    pub tag: String,
    /// How many request queues the device has.
    pub request_queues: u32,
}
