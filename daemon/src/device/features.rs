// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the device offers to the front end.

use shared_window::WindowSize;
use vhost::vhost_user::message::{
    VhostUserProtocolFeatures, VhostUserShMemConfig, VhostUserVirtioFeatures,
};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::{
    VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
};

use crate::config::DeviceConfig;

/// Size of the tag in the configuration space, in bytes (VIRTIO 1.3, 5.11.4).
const TAG_SIZE: usize = 36;

/// The device's configuration, which doesn't change while it runs.
#[derive(Debug, Clone)]
pub(crate) struct DeviceFeatures {
    pub(crate) config: DeviceConfig,
    pub(crate) window: Option<WindowSize>,
}

impl DeviceFeatures {
    /// LOG_ALL, and DEVICE_STATE below, are offered with a window too: it is not known yet whether
    /// the front end takes the window. If it does, a migration is refused on request.
    pub(crate) fn virtio(&self) -> u64 {
        1 << VIRTIO_F_VERSION_1
            | 1 << VIRTIO_RING_F_INDIRECT_DESC
            | 1 << VIRTIO_RING_F_EVENT_IDX
            | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
            | VhostUserVirtioFeatures::LOG_ALL.bits()
    }

    pub(crate) fn protocol(&self) -> VhostUserProtocolFeatures {
        let mut features = VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::BACKEND_SEND_FD
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE
            | VhostUserProtocolFeatures::INFLIGHT_SHMFD
            | VhostUserProtocolFeatures::LOG_SHMFD
            | VhostUserProtocolFeatures::DEVICE_STATE;
        if self.config.mem_slots {
            features |= VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS;
        }
        if self.config.tag.is_some() {
            features |= VhostUserProtocolFeatures::CONFIG;
        }
        if self.window.is_some() {
            // SHARED_OBJECT has the request whose answer proves that a mapping is in effect.
            features |= VhostUserProtocolFeatures::SHMEM | VhostUserProtocolFeatures::SHARED_OBJECT;
        }
        features
    }

    /// `size` bytes of the configuration space at `offset`; zeros beyond its end.
    pub(crate) fn config_space(&self, offset: u32, size: u32) -> Vec<u8> {
        let mut config = self.config.tag.clone().unwrap_or_default().into_bytes();
        config.resize(TAG_SIZE, 0);
        config.extend(u32::from(self.config.request_queues.get()).to_le_bytes());
        let mut asked: Vec<_> = config
            .into_iter()
            .skip(offset as usize)
            .take(size as usize)
            .collect();
        asked.resize(size as usize, 0);
        asked
    }

    /// The shared memory regions: the window, which virtio-fs calls the cache, with id 0.
    pub(crate) fn shared_memory(&self) -> VhostUserShMemConfig {
        match self.window {
            Some(size) => VhostUserShMemConfig::new(1, &[size.bytes()]),
            None => VhostUserShMemConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceConfig, DeviceFeatures};
    use crate::config::LockScope;
    use shared_window::{LINUX_RANGE, WindowSize};
    use vhost::vhost_user::message::{VhostUserProtocolFeatures as P, VhostUserVirtioFeatures};

    fn offer(window: bool) -> DeviceFeatures {
        DeviceFeatures {
            config: DeviceConfig {
                tag: Some("share".to_owned()),
                request_queues: 3.try_into().expect("not 0"),
                thread_pool_size: 0,
                poll: std::time::Duration::ZERO,
                mem_slots: false,
                locks: LockScope::Guest,
            },
            window: window.then(|| WindowSize::new(LINUX_RANGE).expect("a power of two")),
        }
    }

    #[test]
    fn a_window_needs_a_fence() {
        let window = P::SHMEM | P::SHARED_OBJECT;
        assert!(offer(true).protocol().contains(window));
        assert!(!offer(false).protocol().intersects(window));
    }

    #[test]
    fn the_table_of_memory_is_announced_as_a_whole_unless_asked_for() {
        for window in [true, false] {
            let whole = offer(window);
            let mut each = offer(window);
            each.config.mem_slots = true;
            let slots = P::CONFIGURE_MEM_SLOTS;
            assert!(!whole.protocol().contains(slots));
            assert!(each.protocol().contains(slots));
        }
    }

    #[test]
    fn a_migration_is_offered_until_the_window_is_taken() {
        for offer in [offer(true), offer(false)] {
            let migration = P::LOG_SHMFD | P::DEVICE_STATE;
            assert!(offer.protocol().contains(migration));
            let log = VhostUserVirtioFeatures::LOG_ALL.bits();
            assert_ne!(offer.virtio() & log, 0);
        }
    }

    #[test]
    fn config_space_can_be_read_in_any_pieces() {
        let offer = offer(false);
        let whole = offer.config_space(0, 44);
        assert_eq!(&whole[..5], b"share");
        assert_eq!(whole[5..36], [0; 31]);
        assert_eq!(whole[36..], [3, 0, 0, 0, 0, 0, 0, 0]);
        for (offset, size) in [(0, 1), (4, 40), (36, 4), (40, 4), (1000, 7), (0, 0)] {
            let mut expected: Vec<_> = whole
                .iter()
                .copied()
                .skip(offset as usize)
                .take(size as usize)
                .collect();
            expected.resize(size as usize, 0);
            assert_eq!(
                offer.config_space(offset, size),
                expected,
                "{size} bytes at {offset}"
            );
        }
    }

    #[test]
    fn without_a_tag_there_is_no_config_space_to_read() {
        let mut offer = offer(false);
        offer.config.tag = None;
        assert!(!offer.protocol().contains(P::CONFIG));
        assert_eq!(offer.config_space(0, 36), [0; 36]);
    }

    #[test]
    fn the_window_is_shared_memory_region_0() {
        let config = offer(true).shared_memory();
        assert_eq!((config.nregions, config.memory_sizes[0]), (1, LINUX_RANGE));
        assert_eq!(offer(false).shared_memory().nregions, 0);
    }
}
