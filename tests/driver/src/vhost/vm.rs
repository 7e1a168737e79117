// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VM with one virtio-fs device.

use std::fs::File;
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vhost::VhostBackend;
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::{VhostUserInflight, VhostUserProtocolFeatures};
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};
use vm_memory::GuestAddress;

use super::channel::{Channel, ChannelEnd};
use super::connect::{Negotiated, connect};
use super::control::Control;
use super::memory::MemoryTable;
use super::queues::Vring;
use super::{DeviceConfig, Options, VhostError};
use crate::fuse::Framing;
use crate::queue::{Layout, Notifier, QueueOptions};
use crate::units::{QueueIndex, WindowOffset};
use crate::window::{Announce, Rules, Script, Told, Vmm, Window};

/// A VM with one virtio-fs device. This program is its guest. A message to the daemon fails with
/// [`VhostError`].
pub struct Vm {
    pub(super) control: Arc<Control>,
    pub(super) memory: MemoryTable,
    pub(super) vrings: Vec<Vring>,
    features: u64,
    config: Option<DeviceConfig>,
    window: Option<Window>,
    channel: Option<Channel>,
    /// Which mappings the daemon is told of.
    pub(super) told: Told,
    script: Arc<Mutex<Script>>,
    /// The in-flight buffer of the daemon, kept for the next one.
    inflight: Option<(VhostUserInflight, File)>,
    keeps_inflight: bool,
    queue_size: u16,
    patience: Duration,
    framing: Framing,
}

impl Vm {
    /// Connects to the daemon that listens at `socket`, negotiates, and starts the device.
    pub fn connect(socket: &Path, options: &Options) -> Result<Self, VhostError> {
        let mut vm = Self::connect_stopped(socket, options)?;
        vm.start()?;
        Ok(vm)
    }

    /// The same, without starting the device.
    pub fn connect_stopped(socket: &Path, options: &Options) -> Result<Self, VhostError> {
        let negotiated = connect(socket, options)?;
        let memory = MemoryTable::new(options.memory)?;
        let vrings = vrings(&negotiated, &memory, options)?;
        let Negotiated {
            frontend,
            connection,
            watchdog,
            protocol_features,
            ..
        } = negotiated;
        let mut vm = Self {
            control: Control::new(frontend, connection, watchdog, protocol_features),
            memory,
            vrings,
            features: negotiated.features,
            config: negotiated.config,
            window: None,
            channel: None,
            told: options.rules().map_or(Told::Nothing, |rules| rules.told),
            script: Arc::default(),
            inflight: None,
            keeps_inflight: options.keeps_in_flight,
            queue_size: options.queue_size,
            patience: options.patience,
            framing: options.framing,
        };
        if let (Some(size), Some(rules)) = (negotiated.window, options.rules()) {
            vm.open_window(size, rules)?;
        }
        Ok(vm)
    }

    /// Connects to the daemon that has replaced one that ended, and starts the device, as QEMU
    /// does: nothing is mapped, and the queues continue where their used rings end.
    pub fn reconnect(&mut self, socket: &Path, options: &Options) -> Result<(), VhostError> {
        let Negotiated {
            frontend,
            connection,
            watchdog,
            protocol_features,
            features,
            config,
            window,
        } = connect(socket, options)?;
        let watched = Arc::new(OwnedFd::from(connection.try_clone().map_err(failed)?));
        self.control = Control::new(frontend, connection, watchdog, protocol_features);
        (self.features, self.config) = (features, config);
        (self.window, self.channel) = (None, None);
        if let (Some(size), Some(rules)) = (window, options.rules()) {
            self.open_window(size, rules)?;
        }
        self.memory.set_shared(false);
        for vring in &mut self.vrings {
            vring.reconnect(&watched);
        }
        self.start()?;
        for vring in &self.vrings {
            vring.kick().map_err(failed)?;
        }
        Ok(())
    }

    /// Gives the daemon the in-flight buffer, which is the first daemon's.
    fn share_inflight(&mut self) -> Result<(), VhostError> {
        let offered = self.protocol_features();
        if !self.keeps_inflight || !offered.contains(VhostUserProtocolFeatures::INFLIGHT_SHMFD) {
            return Ok(());
        }
        let inflight = match self.inflight.take() {
            Some(inflight) => inflight,
            None => {
                let wanted =
                    VhostUserInflight::new(0, 0, self.vrings.len() as u16, self.queue_size);
                self.control
                    .request("GET_INFLIGHT_FD", |f| f.get_inflight_fd(&wanted))?
            }
        };
        let (memory, file) = self.inflight.insert(inflight);
        self.control.request("SET_INFLIGHT_FD", |f| {
            f.set_inflight_fd(memory, file.as_raw_fd())
        })
    }

    /// Starts the device, like a guest whose driver is ready, or a VM that is resumed.
    pub fn start(&mut self) -> Result<(), VhostError> {
        self.start_first(self.vrings.len())
    }

    /// The same for a driver that uses only the first `used` queues, the high priority queue among
    /// them. QEMU enables the other queues as well.
    pub fn start_first(&mut self, used: usize) -> Result<(), VhostError> {
        let control = Arc::clone(&self.control);
        let _busy = control.main_loop();
        let features = self.features;
        self.control
            .request("SET_FEATURES", |f| f.set_features(features))?;
        self.share_inflight()?;
        if !self.memory.is_shared() {
            self.share_memory()?;
            self.memory.set_shared(true);
        }
        self.tell_table_or_fail()?;
        // Messages about the window may arrive as soon as the first queue runs.
        self.control.set_started(true);
        if self.control.has_slots() {
            self.announce_mappings();
        }
        for queue in self.queue_indices() {
            if queue.0 < used {
                self.start_queue(queue)?;
            } else {
                self.enable_queue(queue, true)?;
            }
        }
        Ok(())
    }

    /// Stops the device, like a VM that is paused: requests in flight complete first.
    pub fn stop(&mut self) -> Result<(), VhostError> {
        let control = Arc::clone(&self.control);
        let _busy = control.main_loop();
        control.set_started(false);
        for queue in self.queue_indices() {
            self.stop_queue(queue)?;
        }
        Ok(())
    }

    /// Sends RESET_DEVICE, if the daemon supports it.
    pub fn reset_device(&self) -> Result<(), VhostError> {
        let reset = VhostUserProtocolFeatures::RESET_DEVICE;
        if !self.protocol_features().contains(reset) {
            return Err(VhostError::NotOffered("RESET_DEVICE"));
        }
        self.control.request("RESET_DEVICE", |f| f.reset_device())
    }

    /// Stops and resets the device, as a reset of the guest does. [`crate::queue::Queue::restart`]
    /// and [`Vm::start`] start it again.
    pub fn reset(&mut self) -> Result<(), VhostError> {
        self.stop()?;
        if self
            .protocol_features()
            .contains(VhostUserProtocolFeatures::RESET_DEVICE)
        {
            self.reset_device()?;
        }
        for queue in self.queue_indices() {
            self.set_base(queue, 0)?;
        }
        // The next driver has no requests in flight.
        self.inflight = None;
        Ok(())
    }

    /// Closes the control connection, like a VMM that dies. Clients get errors.
    pub fn disconnect(&self) {
        // Fails only if the socket is closed already.
        let _ = self.control.connection.shutdown(Shutdown::Both);
    }

    /// Closes the back-end channel only.
    pub fn close_channel(&self) {
        if let Some(channel) = &self.channel {
            channel.close();
        }
    }

    /// Whether the back-end channel is served, and why not; `None` without a window.
    pub fn channel_end(&self) -> Option<ChannelEnd> {
        self.channel.as_ref().map(Channel::end)
    }

    /// The guest address of a window offset, for use in a descriptor.
    pub fn window_address(&self, at: WindowOffset) -> GuestAddress {
        GuestAddress(self.control.window_base() + at.0)
    }

    /// Moves the window in the guest, as the guest's next kernel may do. Nothing may be mapped.
    pub fn move_window(&self, base: GuestAddress) {
        self.control.set_window_base(base.0);
    }

    /// The window, if there is one.
    pub fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// Sets the script for requests on the back-end channel from now on.
    pub fn set_script(&self, script: Script) {
        *self.script.lock() = script;
    }

    /// Makes the VMM apply other rules to its window from now on, like one that has lied. The
    /// thread that serves the channel stays the same.
    pub fn change_rules(&self, rules: Rules) {
        if let Some(channel) = &self.channel {
            channel.change_rules(rules);
        }
    }

    /// The daemon's device configuration, if it has one.
    pub fn config(&self) -> Option<&DeviceConfig> {
        self.config.as_ref()
    }

    /// The negotiated features of VIRTIO and the transport.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// The negotiated protocol features.
    pub fn protocol_features(&self) -> VhostUserProtocolFeatures {
        self.control.protocol_features
    }

    /// Whether the device is started.
    pub fn is_started(&self) -> bool {
        self.control.is_started()
    }

    /// The time limit of each of the daemon's operations.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// How clients split requests, unless they are told otherwise.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    fn open_window(&mut self, size: u64, rules: Rules) -> Result<(), VhostError> {
        let window = Window::new(size)?;
        let announce = Arc::clone(&self.control) as Arc<dyn Announce>;
        let vmm = Arc::new(Vmm::new(window.clone(), rules, announce));
        let script = Arc::clone(&self.script);
        let (channel, theirs) = Channel::start(vmm, rules, &self.control, script)?;
        self.control
            .request("SET_BACKEND_REQ_FD", |f| f.set_backend_request_fd(&theirs))?;
        self.window = Some(window);
        self.channel = Some(channel);
        Ok(())
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm")
            .field("config", &self.config)
            .field("queues", &self.vrings.len())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

fn vrings(
    negotiated: &Negotiated,
    memory: &MemoryTable,
    options: &Options,
) -> Result<Vec<Vring>, VhostError> {
    let queue = options.queue(
        negotiated.has(VIRTIO_RING_F_EVENT_IDX),
        negotiated.has(VIRTIO_RING_F_INDIRECT_DESC),
    );
    let connection = negotiated.connection.try_clone().map_err(failed)?;
    let connection = Arc::new(OwnedFd::from(connection));
    (0..=options.request_queues)
        .map(|index| vring(index, queue, memory, &connection))
        .collect()
}

fn vring(
    index: usize,
    options: QueueOptions,
    memory: &MemoryTable,
    connection: &Arc<OwnedFd>,
) -> Result<Vring, VhostError> {
    let layout = Layout::new(memory.main(), options)?;
    let notifier = Notifier::new(QueueIndex(index), Arc::clone(connection)).map_err(failed)?;
    Vring::new(index, layout, notifier, options).map_err(failed)
}

fn failed(source: std::io::Error) -> VhostError {
    VhostError::Local {
        what: "make the queues",
        source,
    }
}
