// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A front end that speaks vhost-user to a session, as QEMU does, over a real socket.
//!
//! Like QEMU it serves the back-end channel in order, answers `SHMEM_MAP` and `SHMEM_UNMAP` with
//! success, and the removal of an unknown shared object, the session's fence, with a failure. Unlike
//! QEMU it can be told to withhold these answers.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use vhost::vhost_user::message::{
    VhostUserHeaderFlag, VhostUserMMap, VhostUserProtocolFeatures, VhostUserSharedMsg,
    VhostUserVirtioFeatures,
};
use vhost::vhost_user::{
    Error, Frontend, FrontendReqHandler, VhostUserFrontend, VhostUserFrontendReqHandler,
};
use vhost::{VhostBackend, VhostUserDirtyLogRegion, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtiofs_driver::window::Gate;
use vmm_sys_util::eventfd::EventFd;

use super::{AVAIL, Driver, MEMORY_SIZE, MUST_HAPPEN, QUEUE_SIZE, TABLE, USED};
use super::{expect, in_background};

/// Where the front end says that guest memory lies in its own address space.
const USER_ADDRESS: u64 = 0x7000_0000_0000;
/// The features that every front end here acknowledges.
const FEATURES: u64 = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() | 1 << VIRTIO_F_VERSION_1;
/// Bytes of the log: a bit for each page, rounded up to what can be mapped.
const LOG_SIZE: u64 = 4096;
/// The first request queue.
const QUEUE: usize = 1;

/// Messages on the back-end channel whose answers are withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// `SHMEM_MAP` and `SHMEM_UNMAP`.
    Mappings,
    /// What is asked only to learn that all before it is done.
    Fences,
}

/// What arrived on the back-end channel.
#[derive(Default)]
struct Channel {
    held: Option<(Held, Gate)>,
    stopped: bool,
    /// Window messages that arrived while the queue was stopped. QEMU would have crashed.
    while_stopped: usize,
    mapped: Vec<u64>,
    fences: usize,
}

#[derive(Default)]
struct Answers {
    channel: Mutex<Channel>,
}

impl Answers {
    fn when_allowed(&self, kind: Held) -> MutexGuard<'_, Channel> {
        let held = self.channel.lock().held.clone();
        if let Some((_, gate)) = held.filter(|(held, _)| *held == kind) {
            gate.pass(None);
        }
        self.channel.lock()
    }

    fn for_the_window(&self) -> MutexGuard<'_, Channel> {
        let mut channel = self.channel.lock();
        channel.while_stopped += usize::from(channel.stopped);
        drop(channel);
        self.when_allowed(Held::Mappings)
    }
}

impl VhostUserFrontendReqHandler for Answers {
    fn shmem_map(&self, request: &VhostUserMMap, _fd: &dyn AsRawFd) -> io::Result<u64> {
        self.for_the_window().mapped.push(request.shm_offset);
        Ok(0)
    }

    fn shmem_unmap(&self, request: &VhostUserMMap) -> io::Result<u64> {
        let mut channel = self.for_the_window();
        channel.mapped.retain(|at| *at != request.shm_offset);
        Ok(0)
    }

    fn shared_object_remove(&self, _object: &VhostUserSharedMsg) -> io::Result<u64> {
        self.when_allowed(Held::Fences).fences += 1;
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// A VM with one request queue in use.
pub(crate) struct FrontEnd {
    pub(crate) frontend: Frontend,
    pub(crate) driver: Driver,
    answers: Arc<Answers>,
    kick: EventFd,
    call: EventFd,
}

impl FrontEnd {
    /// Connects to the session's socket, negotiates everything offered, takes the window if there
    /// is one, and starts the queue.
    pub(crate) fn start(socket: &Path) -> Self {
        Self::start_with(socket, VhostUserProtocolFeatures::all())
    }

    /// The same with a device that has no use for a window, as QEMU's vhost-user-fs.
    pub(crate) fn start_without_window(socket: &Path) -> Self {
        let window = VhostUserProtocolFeatures::SHMEM | VhostUserProtocolFeatures::SHARED_OBJECT;
        Self::start_with(socket, VhostUserProtocolFeatures::all() - window)
    }

    /// The same with a VMM that maps files and has no shared objects, as crosvm. One request more
    /// than it knows ends it.
    pub(crate) fn start_without_shared_objects(socket: &Path) -> Self {
        let known = VhostUserProtocolFeatures::all() - VhostUserProtocolFeatures::SHARED_OBJECT;
        Self::start_with(socket, known)
    }

    fn start_with(socket: &Path, known: VhostUserProtocolFeatures) -> Self {
        let mut frontend = Frontend::connect(socket, 2).expect("the session listens");
        frontend.set_owner().expect("SET_OWNER");
        frontend.get_features().expect("GET_FEATURES");
        let features = VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits() | 1 << VIRTIO_F_VERSION_1;
        frontend.set_features(features).expect("SET_FEATURES");
        let offered = frontend.get_protocol_features().expect("protocol features");
        let wanted = offered & known & !VhostUserProtocolFeatures::BACKEND_SEND_FD;
        frontend
            .set_protocol_features(wanted)
            .expect("protocol features");
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        let answers = Arc::new(Answers::default());
        serve_channel(&mut frontend, Arc::clone(&answers));
        if wanted.contains(VhostUserProtocolFeatures::SHMEM) {
            let config = frontend.get_shmem_config().expect("GET_SHMEM_CONFIG");
            let size = config.memory_sizes[0];
            let fence = wanted.contains(VhostUserProtocolFeatures::SHARED_OBJECT);
            assert_eq!(size != 0, fence, "a window of {size:#x} bytes");
        }
        let mut front_end = Self {
            frontend,
            driver: Driver::new(),
            answers,
            kick: EventFd::new(libc::EFD_NONBLOCK).expect("an event"),
            call: EventFd::new(0).expect("an event"),
        };
        front_end.share_memory();
        front_end.start_queue(0);
        front_end
    }

    /// Makes a request and waits for its reply.
    pub(crate) fn ask(&mut self, request: &[u8], room: u32) -> Vec<u8> {
        let (_, reply_at) = self.offer(request, room);
        self.wait_for_reply();
        self.driver.read(reply_at, room)
    }

    /// Makes a request and kicks.
    pub(crate) fn offer(&mut self, request: &[u8], room: u32) -> (u16, vm_memory::GuestAddress) {
        let offered = self.driver.offer(request, room);
        self.kick.write(1).expect("a kick");
        offered
    }

    /// Waits for interrupts until something was returned, and takes note of it.
    pub(crate) fn wait_for_reply(&mut self) {
        self.wait_for_a_return();
        self.driver.used();
    }

    /// Waits for interrupts until something was returned.
    pub(crate) fn wait_for_a_return(&mut self) {
        while !self.driver.has_used() {
            let call = self.call.try_clone().expect("an event");
            expect(&in_background(move || call.read()), "an interrupt").expect("an event");
        }
    }

    /// Withholds these answers on the back-end channel.
    pub(crate) fn hold(&self, what: Held) {
        self.answers.channel.lock().held = Some((what, Gate::new()));
    }

    /// Gives the answers that were withheld.
    pub(crate) fn release(&self) {
        if let Some((_, gate)) = self.answers.channel.lock().held.take() {
            gate.open();
        }
    }

    /// Returns when the session waits for an answer.
    pub(crate) fn wait_for_a_call(&self) {
        let held = self.answers.channel.lock().held.clone();
        let (_, gate) = held.expect("answers are withheld");
        let reached = gate.wait_until_reached(MUST_HAPPEN);
        assert!(
            reached,
            "waited {MUST_HAPPEN:?} for a message whose answer is withheld"
        );
    }

    /// Offsets in the window that are mapped.
    pub(crate) fn mapped(&self) -> Vec<u64> {
        self.answers.channel.lock().mapped.clone()
    }

    /// Fences that were answered.
    pub(crate) fn fences(&self) -> usize {
        self.answers.channel.lock().fences
    }

    /// Window messages that arrived while the queue was stopped.
    pub(crate) fn messages_while_stopped(&self) -> usize {
        self.answers.channel.lock().while_stopped
    }

    /// Stops the queue as `vhost_dev_stop` does; returns its base.
    pub(crate) fn stop_queue(&mut self) -> u16 {
        self.frontend
            .set_vring_enable(QUEUE, false)
            .expect("SET_VRING_ENABLE");
        let frontend = self.frontend.clone();
        let base = in_background(move || frontend.get_vring_base(QUEUE));
        let base = expect(&base, "GET_VRING_BASE").expect("a base") as u16;
        self.answers.channel.lock().stopped = true;
        base
    }

    /// Resets the device and negotiates again, as far as the next start needs it.
    pub(crate) fn reset(&mut self) {
        self.frontend.reset_device().expect("RESET_DEVICE");
        self.negotiate_again();
    }

    /// What a driver negotiates after a reset.
    pub(crate) fn negotiate_again(&self) {
        self.frontend.set_features(FEATURES).expect("SET_FEATURES");
    }

    /// Begins to log which pages the session writes; the file is the log.
    pub(crate) fn start_log(&self) -> File {
        let log = tempfile::tempfile().expect("a file");
        log.set_len(LOG_SIZE).expect("room in the file");
        let region = VhostUserDirtyLogRegion {
            mmap_size: LOG_SIZE,
            mmap_offset: 0,
            mmap_handle: log.as_raw_fd(),
        };
        self.frontend
            .set_log_base(0, Some(region))
            .expect("SET_LOG_BASE");
        let logging = FEATURES | VhostUserVirtioFeatures::LOG_ALL.bits();
        self.frontend.set_features(logging).expect("SET_FEATURES");
        log
    }

    /// Starts the queue as `vhost_dev_start` does.
    pub(crate) fn start_queue(&mut self, base: u16) {
        self.answers.channel.lock().stopped = false;
        let frontend = &mut self.frontend;
        let config = VringConfigData {
            queue_max_size: QUEUE_SIZE,
            queue_size: QUEUE_SIZE,
            flags: 0,
            desc_table_addr: USER_ADDRESS + TABLE,
            used_ring_addr: USER_ADDRESS + USED,
            avail_ring_addr: USER_ADDRESS + AVAIL,
            log_addr: None,
        };
        frontend
            .set_vring_num(QUEUE, QUEUE_SIZE)
            .expect("SET_VRING_NUM");
        frontend
            .set_vring_base(QUEUE, base)
            .expect("SET_VRING_BASE");
        frontend
            .set_vring_addr(QUEUE, &config)
            .expect("SET_VRING_ADDR");
        frontend
            .set_vring_kick(QUEUE, &self.kick)
            .expect("SET_VRING_KICK");
        frontend
            .set_vring_call(QUEUE, &self.call)
            .expect("SET_VRING_CALL");
        frontend
            .set_vring_enable(QUEUE, true)
            .expect("SET_VRING_ENABLE");
    }

    fn share_memory(&mut self) {
        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr: 0,
            memory_size: MEMORY_SIZE,
            userspace_addr: USER_ADDRESS,
            mmap_offset: 0,
            mmap_handle: self.driver.file.as_raw_fd(),
        };
        self.frontend
            .set_mem_table(&[region])
            .expect("SET_MEM_TABLE");
    }
}

/// Answers on the back-end channel, in order, until it breaks.
fn serve_channel(frontend: &mut Frontend, answers: Arc<Answers>) {
    let mut handler = FrontendReqHandler::new(answers).expect("a channel");
    handler.set_reply_ack_flag(true);
    frontend
        .set_backend_request_fd(&handler.get_tx_raw_fd())
        .expect("SET_BACKEND_REQ_FD");
    thread::spawn(move || {
        while matches!(
            handler.handle_request(),
            Ok(_) | Err(Error::ReqHandlerError(_))
        ) {}
    });
}
