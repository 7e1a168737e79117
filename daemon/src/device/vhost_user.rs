// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The vhost-user face of the daemon.
//!
//! Most methods run on the control thread, for which QEMU waits: none of these waits for a window
//! operation. `handle_event` runs on the queue's own thread.

use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use shared_window::{RegionBudget, VhostUserShmem, ViewSource, Vmm};
use vhost::vhost_user::Backend;
use vhost::vhost_user::message::{
    VhostTransferStateDirection, VhostTransferStatePhase, VhostUserProtocolFeatures,
    VhostUserShMemConfig, VhostUserVirtioFeatures,
};
use vhost_user_backend::VhostUserBackend;
use virtiofsd::filesystem::{FileSystem, SerializableFileSystem};
use virtiofsd::server::Server;
use vm_memory::{GuestAddressSpace, GuestMemoryBackend};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier,
};

use crate::adapter::{AtomicMemory, TransportBitmap};
use crate::device::features::DeviceFeatures;
use crate::device::migration::{AsState, Migration, MigrationError};
use crate::fs::{DaxFs, WindowNegotiated};
use crate::log::ErrorChain;
use crate::request::engine::{Engine, OtherThreads, WindowJob};
use crate::request::sigbus;
use crate::ring::aside::Aside;
use crate::ring::coalescing::Coalescing;
use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::inflight::Inflight;
use crate::ring::poller::{Poller, TakenChain};
use crate::ring::pool::{FreeThread, Pool};
use crate::ring::reminder::Reminder;
use crate::ring::threads::QueueThreads;
use crate::ring::vring::{Notify, Ring};
use crate::window::address_space::AddressSpace;
use crate::window::census::Census;
use crate::window::thread::WindowThread;

/// Largest queue that VIRTIO allows.
const MAX_QUEUE_SIZE: usize = 32768;

/// How long requests may take to end when the front end is gone. Their changes to files are done by
/// then, unless the host hangs.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// The device's side of the window's channel to the front end.
pub(crate) struct FrontEnd {
    /// The channel on which mappings are requested.
    pub(crate) shmem: VhostUserShmem,
    /// The VM's budget of regions.
    pub(crate) budget: Arc<RegionBudget>,
    /// Counts the regions.
    pub(crate) census: Arc<Census>,
    /// Whether the front end has taken the window for its guest.
    pub(crate) negotiated: WindowNegotiated,
}

/// One vhost-user device.
pub(crate) struct Device<F: FileSystem + Send + Sync, M: Vmm, S: ViewSource> {
    pub(crate) engine: Arc<Engine<F, M, S>>,
    pub(crate) poller: Poller,
    pub(crate) features: DeviceFeatures,
    pub(crate) space: Arc<AddressSpace>,
    pub(crate) front_end: Option<FrontEnd>,
    pub(crate) queue_threads: QueueThreads,
    pub(crate) pool: Option<Pool>,
    pub(crate) window_thread: Option<WindowThread<WindowJob, Engine<F, M, S>>>,
    /// Threads for requests that may sleep. None with a pool, whose threads may.
    pub(crate) aside: Option<Aside>,
    /// None with a pool, which notifies the guest of each request at once.
    pub(crate) reminder: Option<Reminder>,
    pub(crate) fatal_error: Arc<FatalErrorLatch>,
    /// For the SIGBUS handler.
    pub(crate) regions: sigbus::Regions,
    pub(crate) migration: Migration,
    /// Requests in flight, recorded for the next daemon.
    pub(crate) inflight: Arc<Inflight>,
    /// The rings that have been served. No other ring can have a request in flight.
    pub(crate) rings: Vec<OnceLock<Ring>>,
}

impl<F, M, S> Device<F, M, S>
where
    F: FileSystem + SerializableFileSystem + Send + Sync + 'static,
    M: Vmm + 'static,
    S: ViewSource + 'static,
{
    /// Ends all requests when the front end is gone; abandons those inside the window. A request
    /// that hangs does not keep the daemon: its thread ends with the process.
    pub(crate) fn close(&self) {
        if let Some(front_end) = &self.front_end {
            front_end.shmem.close();
        }
        if let Some(pool) = &self.pool {
            pool.close();
        }
        if let Some(reminder) = &self.reminder {
            reminder.close();
        }
        let deadline = Instant::now() + LAST_REQUESTS;
        let left: usize = self.served_rings().map(|ring| ring.close(deadline)).sum();
        if left > 0 {
            log::warn!(
                "the VMM is gone, and {left} of its requests are still waiting for the host's file \
                 system after {LAST_REQUESTS:?}: the daemon ends without them"
            );
        }
        if let Some(locks) = self.engine.fs().locks() {
            locks.clear();
        }
    }

    fn served_rings(&self) -> impl Iterator<Item = &Ring> {
        self.rings.iter().filter_map(OnceLock::get)
    }

    fn serve_ring(&self, queue: usize, ring: &Ring) {
        let Some(pool) = &self.pool else {
            let others = OtherThreads {
                window: self.window_thread.as_ref(),
                aside: self.aside.as_ref(),
            };
            let mut since = Instant::now();
            let here = |(), taken: TakenChain| {
                // The time in which the ring was watched is no request's.
                if let Some(seen) = taken.seen {
                    since = seen;
                }
                if let Some(reminder) = &self.reminder {
                    reminder.look_after(ring);
                }
                let notify = ring.coalescing().notify();
                let asked_vmm = self.engine.dispatch(&others, ring, taken, notify);
                let now = Instant::now();
                let took = now - since;
                // The VMM's time does not predict the time of other requests.
                let slow = match asked_vmm {
                    true => Coalescing::is_slow(took),
                    false => ring.coalescing().note(took),
                };
                if slow {
                    ring.notify();
                }
                since = now;
            };
            return self.poller.drain(queue, ring, || Some(()), here);
        };
        let there = |thread: FreeThread<'_>, taken| {
            let (engine, ring) = (Arc::clone(&self.engine), ring.clone());
            let (fatal_error, window_thread) =
                (Arc::clone(&self.fatal_error), self.window_thread.clone());
            thread.run(move || {
                fatal_error.guard(|| {
                    let others = OtherThreads {
                        window: window_thread.as_ref(),
                        aside: None,
                    };
                    engine.dispatch(&others, &ring, taken, Notify::Now);
                    Ok(())
                });
            });
        };
        self.poller.drain(queue, ring, || pool.free_thread(), there);
    }
}

impl<F, M, S> VhostUserBackend for Device<F, M, S>
where
    F: FileSystem + SerializableFileSystem + Send + Sync + 'static,
    M: Vmm + 'static,
    S: ViewSource + 'static,
{
    type Bitmap = TransportBitmap;
    type Vring = Ring;

    fn num_queues(&self) -> usize {
        self.features.config.queues()
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        self.features.virtio()
    }

    /// QEMU sends these at each start of the device.
    fn acked_features(&self, features: u64) {
        let logging = features & VhostUserVirtioFeatures::LOG_ALL.bits() != 0;
        self.engine.set_logging(logging);
        self.space.restarted();
        self.migration.set_announced(logging, &self.engine);
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        self.features.protocol()
    }

    /// The rings are disabled already, but are still set up, with requests in flight.
    fn reset_device(&self) {
        self.served_rings().for_each(Ring::reset);
        self.engine.server().destroy();
        if let Some(window) = self.engine.window() {
            window.files().mark_stale();
        }
    }

    /// Nothing to do: the library sets this in the rings.
    fn set_event_idx(&self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        self.features.config_space(offset, size)
    }

    /// Requests load the new table themselves, and nothing keeps an old one. Only the table's size
    /// is needed at once, since this very call may complete a mapping.
    fn update_memory(&self, memory: AtomicMemory) -> io::Result<()> {
        let table = memory.memory();
        self.regions
            .update(table.iter().map(|region| (region.as_ptr(), region.size())));
        self.space.update(&table);
        if let Some(front_end) = &self.front_end {
            front_end.census.update(&table);
        }
        Ok(())
    }

    fn set_backend_req_fd(&self, backend: Backend) {
        if let Some(front_end) = &self.front_end {
            front_end.shmem.install(backend);
            match front_end.shmem.can_confirm() {
                Some(true) => front_end.negotiated.gain_channel(),
                _ => front_end.negotiated.lose_channel(),
            }
        }
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        self.queue_threads
            .queues_per_thread(self.features.config.queues())
    }

    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        // Without this event the thread could not be ended, so there is no fallback. It is made
        // before the front end connects, and fails only if the process has no descriptor left.
        let event = new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC)
            .expect("an event to end a queue's thread");
        Some(event)
    }

    /// Never fails: an error would end the queue's thread.
    fn handle_event(
        &self,
        event: u16,
        _events: EventSet,
        rings: &[Ring],
        thread: usize,
    ) -> io::Result<()> {
        let index = usize::from(event);
        let queue = self.queue_threads.queue(thread, index);
        if let (Some(ring), Some(served)) = (rings.get(index), self.rings.get(queue)) {
            self.fatal_error.guard(|| {
                self.queue_threads.prepare_worker()?;
                let ring = served.get_or_init(|| {
                    ring.set_memory(self.space.memory());
                    ring.set_log(&self.inflight, queue);
                    if let Some(front_end) = &self.front_end {
                        ring.pause_with(&front_end.shmem);
                    }
                    if let Some(reminder) = &self.reminder {
                        reminder.watch(ring);
                    }
                    ring.clone()
                });
                self.serve_ring(queue, ring);
                Ok(())
            });
        }
        Ok(())
    }

    fn set_device_state_fd(
        &self,
        direction: VhostTransferStateDirection,
        phase: VhostTransferStatePhase,
        file: File,
    ) -> io::Result<Option<File>> {
        let front_end = self.front_end.as_ref();
        let started = if front_end.is_some_and(|front_end| front_end.negotiated.is_set()) {
            // The state would have to include the mappings, which QEMU's device can't migrate.
            Err(MigrationError::HasWindow)
        } else if let Some(locks) = self.engine.fs().locks()
            && direction == VhostTransferStateDirection::SAVE
            && locks.used() > 0
        {
            Err(MigrationError::HasLocks)
        } else {
            self.migration
                .start(direction, phase, file, Arc::clone(&self.engine))
        };
        started.inspect_err(log_migration)?;
        Ok(None)
    }

    fn check_device_state(&self) -> io::Result<()> {
        Ok(self.migration.check().inspect_err(log_migration)?)
    }

    fn get_shmem_config(&self) -> io::Result<VhostUserShMemConfig> {
        if let Some(front_end) = &self.front_end {
            if front_end.shmem.can_confirm() == Some(false) {
                log::warn!(
                    "no DAX window: the VMM has no vhost-user feature SHARED_OBJECT, by which the \
                     daemon learns that a mapping is in effect"
                );
                return Ok(VhostUserShMemConfig::default());
            }
            front_end.negotiated.set();
        }
        Ok(self.features.shared_memory())
    }
}

/// Logged here, since the library only keeps whether the step failed.
fn log_migration(error: &MigrationError) {
    log::error!("{}", ErrorChain(error));
}

impl<F, M, S> AsState for Engine<F, M, S>
where
    F: FileSystem + SerializableFileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    type State = Server<DaxFs<F, S>>;

    fn state(&self) -> &Self::State {
        self.server()
    }

    fn loaded(&self) {
        self.make_known();
    }
}
