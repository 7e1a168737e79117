// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Connects to a socket and negotiates features, in QEMU's order.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use vhost::VhostBackend;
use vhost::vhost_user::message::{
    VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserProtocolFeatures as Protocol,
    VhostUserVirtioFeatures,
};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};

use super::control::ask;
use super::watchdog::Watchdog;
use super::{DeviceConfig, Options, VhostError, WindowOption};

/// Between two attempts to connect to a daemon that has bound its socket but does not listen yet.
const PAUSE: Duration = Duration::from_millis(2);
/// Size of the tag in the configuration space (VIRTIO 1.3, 5.11.4); the number of request queues
/// follows it.
const TAG_SIZE: usize = 36;
const CONFIG_SIZE: usize = TAG_SIZE + 4;

/// The result of the negotiation.
pub(super) struct Negotiated {
    pub(super) frontend: Frontend,
    pub(super) connection: UnixStream,
    pub(super) watchdog: Watchdog,
    /// All acknowledged features, of VIRTIO and of the transport.
    pub(super) features: u64,
    pub(super) protocol_features: Protocol,
    pub(super) config: Option<DeviceConfig>,
    /// Bytes of the window, if the VM has taken it.
    pub(super) window: Option<u64>,
}

impl Negotiated {
    pub(super) fn has(&self, feature: u32) -> bool {
        self.features & 1 << feature != 0
    }
}

/// Connects and negotiates.
pub(super) fn connect(socket: &Path, options: &Options) -> Result<Negotiated, VhostError> {
    let local = |source| VhostError::Local {
        what: "set up the control connection",
        source,
    };
    let stream = connect_stream(socket, options.patience)?;
    let connection = stream.try_clone().map_err(local)?;
    let watched = stream.try_clone().map_err(local)?;
    let watchdog = Watchdog::start(watched, options.patience).map_err(local)?;
    let queues = options.request_queues + 1;
    let mut negotiation = Negotiation {
        frontend: Frontend::from_stream(stream, queues as u64),
        watchdog,
        options,
    };
    let features = negotiation.features()?;
    let protocol_features = negotiation.protocol_features()?;
    negotiation.check_queues(protocol_features, queues)?;
    let config = negotiation.config(protocol_features)?;
    let window = negotiation.window(protocol_features)?;
    let Negotiation {
        frontend, watchdog, ..
    } = negotiation;
    Ok(Negotiated {
        frontend,
        connection,
        watchdog,
        features,
        protocol_features,
        config,
        window,
    })
}

fn connect_stream(socket: &Path, patience: Duration) -> Result<UnixStream, VhostError> {
    let deadline = Instant::now() + patience;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(PAUSE);
            }
            Err(source) => {
                let socket = socket.to_owned();
                return Err(VhostError::Connect {
                    socket,
                    patience,
                    source,
                });
            }
        }
    }
}

struct Negotiation<'a> {
    frontend: Frontend,
    watchdog: Watchdog,
    options: &'a Options,
}

impl Negotiation<'_> {
    fn ask<T>(
        &mut self,
        request: &'static str,
        make: impl FnOnce(&mut Frontend) -> vhost::Result<T>,
    ) -> Result<T, VhostError> {
        ask(&self.watchdog, request, || make(&mut self.frontend))
    }

    fn features(&mut self) -> Result<u64, VhostError> {
        self.ask("SET_OWNER", |f| f.set_owner())?;
        let offered = self.ask("GET_FEATURES", |f| f.get_features())?;
        let protocol = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        let mut wanted = protocol | 1 << VIRTIO_F_VERSION_1;
        if offered & wanted != wanted {
            return Err(VhostError::NotOffered("VIRTIO 1 over protocol features"));
        }
        if self.options.event_index {
            wanted |= 1 << VIRTIO_RING_F_EVENT_IDX;
        }
        if self.options.indirect {
            wanted |= 1 << VIRTIO_RING_F_INDIRECT_DESC;
        }
        let features = offered & wanted;
        // The vhost crate's back end refuses requests for protocol features before.
        self.ask("SET_FEATURES", |f| f.set_features(features))?;
        Ok(features)
    }

    fn protocol_features(&mut self) -> Result<Protocol, VhostError> {
        let offered = self.ask("GET_PROTOCOL_FEATURES", |f| f.get_protocol_features())?;
        let of_window = Protocol::SHMEM | Protocol::SHARED_OBJECT;
        let mut wanted = offered & self.options.protocol_features & !of_window;
        if self.options.rules().is_some() && offered.contains(of_window | Protocol::BACKEND_REQ) {
            wanted |= of_window;
            wanted.set(Protocol::SHARED_OBJECT, self.options.shared_objects);
        }
        self.ask("SET_PROTOCOL_FEATURES", |f| f.set_protocol_features(wanted))?;
        if wanted.contains(Protocol::REPLY_ACK) {
            self.frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        }
        Ok(wanted)
    }

    fn check_queues(&mut self, has: Protocol, wanted: usize) -> Result<(), VhostError> {
        if !has.contains(Protocol::MQ) {
            return Ok(());
        }
        let there = self.ask("GET_QUEUE_NUM", |f| f.get_queue_num())?;
        if there < wanted as u64 {
            return Err(VhostError::Queues { there, wanted });
        }
        Ok(())
    }

    fn config(&mut self, has: Protocol) -> Result<Option<DeviceConfig>, VhostError> {
        if !has.contains(Protocol::CONFIG) {
            return Ok(None);
        }
        let (size, flags) = (CONFIG_SIZE as u32, VhostUserConfigFlags::empty());
        let read = |f: &mut Frontend| f.get_config(0, size, flags, &[0; CONFIG_SIZE]);
        let (_, bytes) = self.ask("GET_CONFIG", read)?;
        let (tag, queues) = bytes.split_at(TAG_SIZE);
        let tag = tag.split(|byte| *byte == 0).next().unwrap_or_default();
        let queues = queues.first_chunk().copied().unwrap_or_default();
        Ok(Some(DeviceConfig {
            tag: String::from_utf8_lossy(tag).into_owned(),
            request_queues: u32::from_le_bytes(queues),
        }))
    }

    fn window(&mut self, has: Protocol) -> Result<Option<u64>, VhostError> {
        let mut size = None;
        if has.contains(Protocol::SHMEM) {
            let config = self.ask("GET_SHMEM_CONFIG", |f| f.get_shmem_config())?;
            size = Some(config.memory_sizes[0]).filter(|size| *size > 0);
        }
        if size.is_none() && matches!(self.options.window, WindowOption::Required(_)) {
            return Err(VhostError::NotOffered("a window"));
        }
        Ok(size)
    }
}
