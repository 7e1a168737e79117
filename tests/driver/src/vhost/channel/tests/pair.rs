// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A VMM, and the vhost crate's back end in place of a daemon.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;
use vhost::vhost_user::message::{
    FrontendReq, VhostUserMMap, VhostUserMMapFlags, VhostUserProtocolFeatures, VhostUserSharedMsg,
};
use vhost::vhost_user::{Backend, Frontend, VhostUserFrontend, VhostUserFrontendReqHandler};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};

use crate::vhost::channel::Channel;
use crate::vhost::control::Control;
use crate::vhost::watchdog::Watchdog;
use crate::window::{Announce, Rules, Script, Told, Violation, Vmm, Window};

pub(super) const PAGE: u64 = 4096;
pub(super) const PAGES: u64 = 16;
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A VMM, and the daemon's end of its channel.
pub(super) struct Pair {
    pub(super) daemon: Backend,
    pub(super) window: Window,
    pub(super) script: Arc<Mutex<Script>>,
    pub(super) control: Arc<Control>,
    /// The daemon's end of the control connection.
    pub(super) requests: UnixStream,
    pub(super) channel: Channel,
}

pub(super) fn start(rules: Rules) -> Pair {
    let (ours, requests) = UnixStream::pair().expect("sockets");
    let features = VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS;
    let clone = || ours.try_clone().expect("a descriptor");
    let watchdog = Watchdog::start(clone(), PATIENCE).expect("a thread");
    let mut frontend = Frontend::from_stream(clone(), 2);
    // Without REPLY_ACK the front end does not wait for replies of the daemon.
    pretend_to_negotiate(&mut frontend, &requests, features);
    let control = Control::new(frontend, ours, watchdog, features);
    control.set_started(true);
    control.set_memory(vec![VhostUserMemoryRegionInfo::default()]);
    let window = Window::new(PAGES * PAGE).expect("a window");
    let announce = Arc::clone(&control) as Arc<dyn Announce>;
    let vmm = Arc::new(Vmm::new(window.clone(), rules, announce));
    let script = Arc::<Mutex<Script>>::default();
    let (channel, theirs) =
        Channel::start(vmm, rules, &control, Arc::clone(&script)).expect("a channel");
    let daemon = Backend::from_stream(UnixStream::from(theirs));
    daemon.set_reply_ack_flag(true);
    daemon.set_shmem_flag(true);
    daemon.set_shared_object_flag(true);
    Pair {
        daemon,
        window,
        script,
        control,
        requests,
        channel,
    }
}

/// The front end sends a request only after the feature for it was acknowledged.
fn pretend_to_negotiate(
    frontend: &mut Frontend,
    daemon: &UnixStream,
    features: VhostUserProtocolFeatures,
) {
    let mut daemon = daemon;
    let reply = |code: FrontendReq, value: u64| {
        let header = [code as u32, 5, 8].map(u32::to_le_bytes);
        [header.as_flattened(), &value.to_le_bytes()].concat()
    };
    let protocol = 1 << 30;
    daemon
        .write_all(&reply(FrontendReq::GET_FEATURES, protocol))
        .expect("a reply");
    frontend.get_features().expect("a reply");
    frontend.set_features(protocol).expect("no reply");
    frontend.set_protocol_features(features).expect("no reply");
    // Three headers, two of them followed by a number.
    daemon
        .read_exact(&mut [0; 12 + 20 + 20])
        .expect("three requests");
}

impl Pair {
    pub(super) fn map_of(
        &self,
        file: &File,
        at: u64,
        pages: u64,
        writable: bool,
    ) -> std::io::Result<u64> {
        let flags = if writable {
            VhostUserMMapFlags::WRITABLE.bits()
        } else {
            0
        };
        let request = VhostUserMMap {
            shm_offset: at * PAGE,
            len: pages * PAGE,
            flags,
            ..VhostUserMMap::default()
        };
        self.daemon.shmem_map(&request, file)
    }

    pub(super) fn map(&self, at: u64, pages: u64) -> std::io::Result<u64> {
        self.map_of(&file(PAGES), at, pages, true)
    }

    pub(super) fn unmap(&self, at: u64, pages: u64) -> std::io::Result<u64> {
        self.daemon.shmem_unmap(&VhostUserMMap {
            shm_offset: at * PAGE,
            len: pages * PAGE,
            ..VhostUserMMap::default()
        })
    }

    /// Returns when all earlier requests are in effect.
    pub(super) fn fence(&self) {
        let uuid = Uuid::from_u128(8 << 76 | 2 << 62);
        let refused = self
            .daemon
            .shared_object_remove(&VhostUserSharedMsg { uuid });
        refused.expect_err("QEMU knows no shared objects");
    }

    pub(super) fn mapped(&self) -> Vec<(u64, u64)> {
        self.fence();
        let mappings = self.window.mappings();
        mappings
            .iter()
            .map(|one| (one.at.0 / PAGE, one.len / PAGE))
            .collect()
    }

    pub(super) fn violations(&self) -> Vec<Violation> {
        self.window.violations()
    }
}

pub(super) fn file(pages: u64) -> File {
    let file = tempfile::tempfile().expect("a file");
    file.set_len(pages * PAGE).expect("room in the file");
    file
}

/// QEMU's rules without announcements, so that only the changed rule has an effect.
pub(super) fn quiet() -> Rules {
    Rules {
        told: Told::Nothing,
        ..Rules::qemu()
    }
}
