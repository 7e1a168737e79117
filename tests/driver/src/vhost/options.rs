// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The settings of a VM.

use std::time::Duration;

use vhost::vhost_user::message::VhostUserProtocolFeatures;

use crate::fuse::Framing;
use crate::queue::QueueOptions;
use crate::window::Rules;

/// The time limit of each operation, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the VM takes the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowOption {
    /// No, like QEMU's vhost-user-fs device.
    Off,
    /// Yes, if the daemon offers one.
    IfOffered(Rules),
    /// Yes. A daemon without one is an error.
    Required(Rules),
}

/// The settings of a VM.
#[derive(Debug, Clone)]
pub struct Options {
    /// The number of request queues.
    pub request_queues: usize,
    /// Descriptors of each queue, a power of two.
    pub queue_size: u16,
    /// Whether to use VIRTIO_F_EVENT_IDX if the daemon offers it.
    pub event_index: bool,
    /// Whether to use VIRTIO_F_INDIRECT_DESC if the daemon offers it.
    pub indirect: bool,
    /// The number of descriptors in an indirect table. A READ of 128 KiB takes 35 on Linux.
    pub table_entries: u16,
    /// How clients split requests, unless they are told otherwise.
    pub framing: Framing,
    /// Bytes of guest memory.
    pub memory: usize,
    /// Whether the VM takes the window.
    pub window: WindowOption,
    /// Whether a VMM with a window supports SHARED_OBJECT. QEMU does. crosvm and Cloud Hypervisor
    /// don't, and may exit at such a request.
    pub shared_objects: bool,
    /// The protocol features that are acknowledged if they are offered. [`Options::window`] decides
    /// about those of the window.
    pub protocol_features: VhostUserProtocolFeatures,
    /// Whether the VMM keeps the in-flight buffer for the next daemon, if that is offered. The QEMU
    /// series does; QEMU 11.1 does not for this device.
    pub keeps_in_flight: bool,
    /// The time limit of each of the daemon's operations.
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
    /// The rules of the window, if the VM wants one.
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

/// The device's configuration space (VIRTIO 1.3, 5.11.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// The tag that the guest mounts.
    pub tag: String,
    /// How many request queues the device has.
    pub request_queues: u32,
}
