// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The device's parts without a front end, for the fuzz targets in `tests/fuzz`.
//!
//! Not an interface: this exists only with the feature `fuzzing`, and changes with the device. The
//! code that serves requests is that of a [`super::Session`], but on the calling thread, so that an
//! input has one outcome and its cost can be measured.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shared_window::{RegionBudget, ViewSource, Vmm, Window, WindowSize};
use vhost_user_backend::VringT as _;
use virtiofsd::filesystem::FileSystem;

use crate::adapter::AtomicMemory;
use crate::config::DaxPolicy;
use crate::device::KEPT_VIEWS;
use crate::fs::catch_panic;
use crate::fs::{
    Dax, DaxEligibility, DaxFs, Losses, LostStores, NodeCache, WindowNegotiated, Written,
};
use crate::metrics::Metrics;
use crate::request::engine::Engine;
use crate::request::sigbus;
use crate::ring::poller::Poller;
use crate::ring::vring::Notify;
use crate::window::operations::WindowSide;

pub use crate::ring::Ring;

/// The parts of a window.
pub struct FuzzedWindow<M, S> {
    /// Its size.
    pub size: WindowSize,
    /// The VMM that maps.
    pub vmm: M,
    /// The source of views.
    pub views: S,
    /// The limit of regions.
    pub budget: Arc<RegionBudget>,
    /// Which files are promised to the guest.
    pub policy: DaxPolicy,
}

/// One queue of a device, which is served when the caller asks for it.
pub struct FuzzedQueue<F: FileSystem + Send + Sync, M: Vmm, S: ViewSource> {
    engine: Engine<F, M, S>,
    poller: Poller,
    ring: Ring,
    metrics: Arc<Metrics>,
}

impl<F, M, S> FuzzedQueue<F, M, S>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource + Clone,
{
    /// A device on `fs` whose guest has `memory`, and has taken the window if there is one.
    ///
    /// # Panics
    /// If the library makes no queue of `max_queue_size`.
    #[must_use]
    pub fn new(
        fs: F,
        memory: AtomicMemory,
        max_queue_size: u16,
        window: Option<FuzzedWindow<M, S>>,
    ) -> Self {
        catch_panic::install_hook();
        sigbus::install_handler();
        let metrics = Arc::new(Metrics::new(1));
        let fs = Arc::new(fs);
        let (dax, window) = match window {
            Some(window) => {
                let (dax, window) = side(&fs, window, &metrics);
                (Some(dax), Some(window))
            }
            None => (None, None),
        };
        let engine = Engine::new(DaxFs::new(fs, dax), window, Arc::clone(&metrics));
        // Serves all requests, also before INIT.
        engine.make_known();
        Self {
            engine,
            poller: Poller::new(memory.clone(), Arc::clone(&metrics)),
            ring: Ring::new(memory, max_queue_size).expect("a queue size that VIRTIO allows"),
            metrics,
        }
    }

    /// The queue's ring; the front end's messages to it are `VringT`'s methods.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Serves all available requests, as a queue's thread does after a kick.
    pub fn kick(&self) {
        let serve = |(), taken| {
            self.engine
                .serve(&self.ring, self.engine.parse(taken), Notify::Later);
        };
        self.poller.drain(0, &self.ring, || Some(()), serve);
    }

    /// What the control thread does for `RESET_DEVICE`.
    pub fn reset_device(&self) {
        self.ring.reset();
        self.engine.server().destroy();
        if let Some(window) = self.engine.window() {
            window.files().mark_stale();
        }
    }

    /// Whether every reply is marked dirty, as during a migration.
    pub fn set_logging(&self, logging: bool) {
        self.engine.set_logging(logging);
    }

    /// The device's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The window.
    pub fn window(&self) -> Option<&Window<M, S>> {
        self.engine.window().map(|window| window.files().window())
    }
}

/// A window, and the state that it shares with the file system.
fn side<F: FileSystem, M: Vmm, S: ViewSource + Clone>(
    fs: &Arc<F>,
    window: FuzzedWindow<M, S>,
    metrics: &Arc<Metrics>,
) -> (Arc<Dax<S>>, WindowSide<F, M, S>) {
    let FuzzedWindow {
        size,
        vmm,
        views,
        budget,
        policy,
    } = window;
    let negotiated = WindowNegotiated::default();
    negotiated.set();
    negotiated.gain_channel();
    let eligibility = DaxEligibility::new(policy, views.clone());
    let lost_stores = LostStores::new(views.lost_pages(), Arc::clone(metrics));
    let window = Window::new(size, vmm, views, budget);
    let dax = Arc::new(Dax {
        eligibility,
        views: NodeCache::new(KEPT_VIEWS),
        losses: Losses::new(window.mapped_files()),
        written: Written::default(),
        kills_privileges: AtomicBool::default(),
        lost_stores,
        negotiated,
    });
    let side = WindowSide::new(
        Arc::clone(fs),
        Arc::clone(&dax),
        window,
        Arc::clone(metrics),
    );
    (dax, side)
}
