// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a socket to negotiated features, in the order in which QEMU asks.

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

use super::{DeviceConfig, Options, VhostError, WindowOption};

/// Between two tries to connect to a daemon that has bound its socket but does not listen yet.
const PAUSE: Duration = Duration::from_millis(2);
/// Size of the tag in the configuration space (VIRTIO 1.3, 5.11.4), and of all of it.
const TAG_SIZE: usize = 36;
const CONFIG_SIZE: usize = TAG_SIZE + 4;

/// What came of the negotiation.
pub(super) struct Negotiated {
    pub(super) frontend: Frontend,
    pub(super) connection: UnixStream,
    /// All that is acknowledged, of VIRTIO and of the transport.
    pub(super) features: u64,
    pub(super) protocol_features: Protocol,
    pub(super) config: Option<DeviceConfig>,
    /// Bytes of the window, if it is taken.
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
    stream
        .set_read_timeout(Some(options.patience))
        .map_err(local)?;
    let connection = stream.try_clone().map_err(local)?;
    let queues = options.request_queues + 1;
    let mut frontend = Frontend::from_stream(stream, queues as u64);
    let features = features(&frontend, options)?;
    let protocol_features = protocol_features(&mut frontend, options)?;
    if protocol_features.contains(Protocol::REPLY_ACK) {
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
    }
    check_queues(&mut frontend, protocol_features, queues)?;
    let config = if protocol_features.contains(Protocol::CONFIG) {
        Some(read_config(&mut frontend)?)
    } else {
        None
    };
    let window = window(&mut frontend, protocol_features, options)?;
    Ok(Negotiated {
        frontend,
        connection,
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

fn features(frontend: &Frontend, options: &Options) -> Result<u64, VhostError> {
    let asked = |request| move |source| VhostError::Request { request, source };
    frontend.set_owner().map_err(asked("SET_OWNER"))?;
    let offered = frontend.get_features().map_err(asked("GET_FEATURES"))?;
    let protocol = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
    let mut wanted = protocol | 1 << VIRTIO_F_VERSION_1;
    if offered & wanted != wanted {
        return Err(VhostError::NotOffered("VIRTIO 1 over protocol features"));
    }
    if options.event_index {
        wanted |= 1 << VIRTIO_RING_F_EVENT_IDX;
    }
    if options.indirect {
        wanted |= 1 << VIRTIO_RING_F_INDIRECT_DESC;
    }
    let features = offered & wanted;
    // The vhost crate's back end refuses to talk of protocol features before.
    frontend
        .set_features(features)
        .map_err(asked("SET_FEATURES"))?;
    Ok(features)
}

fn protocol_features(frontend: &mut Frontend, options: &Options) -> Result<Protocol, VhostError> {
    let asked = |request| move |source| VhostError::Request { request, source };
    let offered = frontend
        .get_protocol_features()
        .map_err(asked("GET_PROTOCOL_FEATURES"))?;
    let of_window = Protocol::SHMEM | Protocol::SHARED_OBJECT;
    let mut wanted = offered & options.protocol_features & !of_window;
    if options.rules().is_some() && offered.contains(of_window | Protocol::BACKEND_REQ) {
        wanted |= of_window;
    }
    frontend
        .set_protocol_features(wanted)
        .map_err(asked("SET_PROTOCOL_FEATURES"))?;
    Ok(wanted)
}

fn check_queues(frontend: &mut Frontend, has: Protocol, wanted: usize) -> Result<(), VhostError> {
    if !has.contains(Protocol::MQ) {
        return Ok(());
    }
    let there = frontend.get_queue_num();
    let there = there.map_err(|source| VhostError::Request {
        request: "GET_QUEUE_NUM",
        source,
    })?;
    if there < wanted as u64 {
        return Err(VhostError::Queues { there, wanted });
    }
    Ok(())
}

fn read_config(frontend: &mut Frontend) -> Result<DeviceConfig, VhostError> {
    let size = CONFIG_SIZE as u32;
    let read = frontend.get_config(0, size, VhostUserConfigFlags::empty(), &[0; CONFIG_SIZE]);
    let (_, bytes) = read.map_err(|source| VhostError::Request {
        request: "GET_CONFIG",
        source,
    })?;
    let (tag, queues) = bytes.split_at(TAG_SIZE);
    let tag = tag.split(|byte| *byte == 0).next().unwrap_or_default();
    let queues = queues.first_chunk().copied().unwrap_or_default();
    Ok(DeviceConfig {
        tag: String::from_utf8_lossy(tag).into_owned(),
        request_queues: u32::from_le_bytes(queues),
    })
}

fn window(
    frontend: &mut Frontend,
    has: Protocol,
    options: &Options,
) -> Result<Option<u64>, VhostError> {
    let mut size = None;
    if has.contains(Protocol::SHMEM) {
        let config = frontend.get_shmem_config();
        let config = config.map_err(|source| VhostError::Request {
            request: "GET_SHMEM_CONFIG",
            source,
        })?;
        size = Some(config.memory_sizes[0]).filter(|size| *size > 0);
    }
    if size.is_none() && matches!(options.window, WindowOption::Required(_)) {
        return Err(VhostError::NotOffered("a window"));
    }
    Ok(size)
}
