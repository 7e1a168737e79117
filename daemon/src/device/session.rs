// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One front end, from its connection to its end.

mod parts;

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::thread;

use shared_window::{VhostUserShmem, ViewSource};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error as BackendError, VhostUserDaemon};
use virtiofsd::filesystem::{FileSystem, SerializableFileSystem};

use self::parts::Parts;
use crate::adapter::{AtomicMemory, TransportMemory};
use crate::config::{DeviceConfig, LockScope};
use crate::device::features::DeviceFeatures;
use crate::device::migration::Migration;
use crate::device::vhost_user::Device;
use crate::device::vmm_socket::VmmSocket;
use crate::device::window::SessionWindow;
use crate::fs::catch_panic;
use crate::fs::{KeptFiles, WindowNegotiated};
use crate::locks::HostLocks;
use crate::metrics::Metrics;
use crate::metrics::Observer;
use crate::metrics::SnapshotSource;
use crate::request::engine::Engine;
use crate::request::sigbus;
use crate::ring::aside::Aside;
use crate::ring::fatal_error::{Failure, FatalErrorLatch};
use crate::ring::poller::Poller;
use crate::ring::pool::Pool;
use crate::ring::reminder::Reminder;
use crate::ring::threads::{QueueThreads, ThreadsError};
use crate::window::thread::WindowThread;

/// How many views of files without a live mapping are cached, to be mapped again: as many as the
/// default window has ranges. More would have a price. A view is a descriptor, keeps the host from
/// executing the file, and keeps the blocks of a deleted file.
pub(crate) const KEPT_VIEWS: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Serving could not begin, or ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The requested threads cannot serve requests.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
    /// A bug: a thread that serves requests panicked.
    #[error("a thread that serves requests has panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// Sockets, or the threads for them, can't be had.
    #[error("the VMM cannot be connected to the library")]
    Socket(#[source] io::Error),
    /// The vhost-user connection failed. The library's error type does not implement `Error`, so it
    /// can't be the source.
    #[error("the vhost-user connection failed: {0}")]
    Connection(BackendError),
}

impl From<Failure> for SessionError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panicked { message } => Self::Panicked { message },
            Failure::Threads(error) => Self::Threads(error),
        }
    }
}

/// How requests are taken and served.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// The device.
    pub device: DeviceConfig,
    /// The collector of more than the counters, with `--metrics`.
    pub observer: Option<Arc<Observer>>,
    /// Whether descriptors are kept for GETATTR: see [`KeptFiles`].
    pub keep_files: bool,
}

type SessionDevice<F, S> = Device<F, VhostUserShmem, S>;

/// A device that waits for its front end.
pub struct Session<F: FileSystem + Send + Sync, S: ViewSource> {
    device: Arc<SessionDevice<F, S>>,
    memory: AtomicMemory,
    metrics: Arc<Metrics>,
}

impl<F, S> Session<F, S>
where
    F: FileSystem + SerializableFileSystem + Send + Sync + 'static,
    S: ViewSource + Clone + 'static,
{
    /// Makes a device. Starts the pool's threads, and no other.
    ///
    /// # Errors
    /// If several threads are requested and can't be had.
    pub fn new(
        fs: F,
        options: SessionOptions,
        window: Option<SessionWindow<S>>,
    ) -> Result<Self, SessionError> {
        catch_panic::install_hook();
        sigbus::install_handler();
        let SessionOptions {
            device,
            observer,
            keep_files,
        } = options;
        let queue_threads =
            QueueThreads::new(device.request_queues.get().into(), device.thread_pool_size)?;
        let pool = Pool::new(device.thread_pool_size)?;
        let (mem_slots, poll) = (device.mem_slots, device.poll);
        let fatal_error = Arc::<FatalErrorLatch>::default();
        let locks = match device.locks {
            LockScope::Guest => None,
            LockScope::Host => Some(Arc::new(HostLocks::new(Arc::clone(&fatal_error)))),
        };
        let features = DeviceFeatures {
            config: device,
            window: window.as_ref().map(|window| window.size),
        };
        let queues = features.config.queues();
        let metrics = Arc::new(Metrics::observed(queues, observer));
        let memory = AtomicMemory::new(TransportMemory::new());
        let parts = Parts::new(Arc::new(fs), window, mem_slots, locks, &metrics);
        let space = parts.space;
        let kept = keep_files.then(KeptFiles::start).transpose();
        let fs = parts.fs.keeping(kept.map_err(ThreadsError::Kept)?);
        let engine =
            Engine::new(fs, parts.window, Arc::clone(&metrics)).with_space(Arc::clone(&space));
        let engine = Arc::new(engine);
        let window_thread = engine
            .window()
            .map(|_| WindowThread::start(Arc::clone(&engine), Arc::clone(&fatal_error)));
        let reminder = pool
            .is_none()
            .then(|| Reminder::start(Arc::clone(&fatal_error)))
            .transpose()?;
        let aside = pool
            .is_none()
            .then(|| Aside::new(Arc::clone(&fatal_error)))
            .transpose()?;
        let device = Device {
            engine,
            poller: Poller::new(space.memory(), Arc::clone(&metrics)).watch(poll),
            rings: (0..queues).map(|_| OnceLock::new()).collect(),
            features,
            space,
            front_end: parts.front_end,
            queue_threads,
            pool,
            window_thread: window_thread.transpose()?,
            reminder,
            aside,
            fatal_error,
            regions: sigbus::Regions::new(),
            migration: Migration::default(),
            inflight: Arc::default(),
        };
        Ok(Self {
            device: Arc::new(device),
            memory,
            metrics,
        })
    }

    /// The session's counters, which the caller may keep after the session's end.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// A view of the window and its files, as long as the session exists.
    #[must_use]
    pub fn snapshot_source(&self) -> Arc<dyn SnapshotSource> {
        Arc::new(Arc::downgrade(&self.device))
    }

    /// The window's state, if there is a window. Also used to report that the window can't be used
    /// any more.
    #[must_use]
    pub fn window(&self) -> Option<WindowNegotiated> {
        let front_end = self.device.front_end.as_ref()?;
        Some(front_end.negotiated.clone())
    }

    /// Accepts one front end, serves it, and returns when it is gone.
    ///
    /// # Errors
    /// If the connection failed in a way other than its end, or if a thread that serves requests
    /// cannot go on. In the second case the session's threads may be stuck; they are left as they
    /// are, and end with the process.
    pub fn run(self, listener: Listener) -> Result<(), SessionError> {
        let socket = VmmSocket::around(listener).map_err(SessionError::Socket)?;
        self.run_at(socket)
    }

    /// [`Self::run`] for a process that can't create sockets any more.
    ///
    /// # Errors
    /// Those of [`Self::run`].
    pub fn run_at(self, socket: VmmSocket) -> Result<(), SessionError> {
        let mut daemon = VhostUserDaemon::new(
            "vhost-user".to_owned(),
            Arc::clone(&self.device),
            self.memory.clone(),
        )
        .map_err(SessionError::Connection)?;
        let (mut library, connections) = socket.accept().map_err(|error| {
            SessionError::Connection(BackendError::CreateBackendListener(error))
        })?;
        daemon
            .start(&mut library)
            .map_err(SessionError::Connection)?;
        drop(library);
        connections
            .pass_on(Arc::clone(&self.device.inflight))
            .map_err(SessionError::Socket)?;
        if let Some(connection) = daemon.shutdown_handle() {
            self.device.fatal_error.arm(move || connection.shutdown());
        }
        let ended = daemon.wait();
        if let Some(failure) = self.device.fatal_error.take() {
            return Err(failure.into());
        }
        self.device.close();
        dismiss(daemon);
        match ended {
            Ok(())
            | Err(BackendError::HandleRequest(
                VhostUserError::Disconnected | VhostUserError::PartialMessage,
            )) => Ok(()),
            Err(error) => Err(SessionError::Connection(error)),
        }
    }
}

/// Ends the queues' threads, which no longer have a request on a ring.
///
/// This does not wait for them. One of them may wait for an answer on the back-end channel. Only an
/// answer ends that wait, and a front end can keep the channel open although it closed its socket.
fn dismiss<T: Send + 'static>(daemon: T) {
    let dismissed = thread::Builder::new()
        .name("dismiss".to_owned())
        .spawn(move || drop(daemon));
    if let Err(error) = dismissed {
        log::warn!(
            "no thread can be started to end the queues' threads, so the session waited for them: {error}"
        );
    }
}

#[cfg(test)]
mod tests;
