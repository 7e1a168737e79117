// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a request on a ring to its reply.
//!
//! ```text
//!  pop ─▶ ParsedRequest ─┬▶ Work::Map, Work::Unmap ─▶ window ────────────────────────┐
//!                        └▶ Work::File ─┬▶ INIT, DESTROY: clear the window ─┐        ├▶ complete
//!                                       └─────────────┬─────────────────────┴▶ server┤
//!                                                     └▶ fast path ──────────────────┘
//! ```
//!
//! With `--locks host`, messages about locks go another way ([`locking`]).
//!
//! No message of a guest ends the process or a thread. A request that cannot be parsed gets an
//! error reply if there is room for one, and is returned with length 0 otherwise.

mod answer;
mod dispatch;
mod locking;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;
use virtiofsd::server::Server;

pub(crate) use self::dispatch::{OtherThreads, WindowJob};
use crate::adapter::ReadWays;
use crate::fs::DaxFs;
use crate::log::LogLimit;
use crate::metrics::Metrics;
use crate::window::address_space::AddressSpace;
use crate::window::operations::WindowSide;

/// A log limit for each kind of guest error.
#[derive(Default)]
struct LogLimits {
    chain: LogLimit,
    request: LogLimit,
    reply: LogLimit,
    memory: LogLimit,
    buffer: LogLimit,
    stray: LogLimit,
}

/// Serves requests on the calling thread. Shared by all threads.
pub(crate) struct Engine<F: FileSystem + Send + Sync, M: Vmm, S: ViewSource> {
    fs: DaxFs<F, S>,
    server: Server<DaxFs<F, S>>,
    window: Option<WindowSide<F, M, S>>,
    space: Option<Arc<AddressSpace>>,
    metrics: Arc<Metrics>,
    /// How to find out whether a READ would wait.
    read_ways: ReadWays,
    /// A migration watches guest memory.
    logging: AtomicBool,
    /// The guest's driver knows this daemon: it has sent INIT to it, or this daemon has loaded the
    /// state of the one before.
    is_known: AtomicBool,
    log_limits: LogLimits,
}

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    pub(crate) fn new(
        fs: DaxFs<F, S>,
        window: Option<WindowSide<F, M, S>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            server: Server::new(fs.clone()),
            fs,
            window,
            space: None,
            metrics,
            read_ways: ReadWays::default(),
            logging: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            log_limits: LogLimits::default(),
        }
    }

    /// Sets the address space in which requests' buffers lie.
    pub(crate) fn with_space(self, space: Arc<AddressSpace>) -> Self {
        Self {
            space: Some(space),
            ..self
        }
    }

    /// Lets all requests be served, also before INIT.
    pub(crate) fn make_known(&self) {
        self.is_known.store(true, Ordering::Release);
    }

    pub(crate) fn server(&self) -> &Server<DaxFs<F, S>> {
        &self.server
    }

    /// The file system itself.
    pub(crate) fn fs(&self) -> &DaxFs<F, S> {
        &self.fs
    }

    pub(crate) fn window(&self) -> Option<&WindowSide<F, M, S>> {
        self.window.as_ref()
    }

    /// Whether every reply is to be marked dirty.
    pub(crate) fn set_logging(&self, logging: bool) {
        self.logging.store(logging, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
