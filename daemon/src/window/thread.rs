// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The thread that serves SETUPMAPPING and REMOVEMAPPING.
//!
//! These requests wait for QEMU, a hundred times as long as most other requests take. So the thread
//! that takes one off its ring queues it here, and goes on with the next request. There is one
//! window thread, since one window operation runs at a time.
//!
//! A VMM that answers when a mapping is in effect answers so soon that waking this thread would
//! take as long. Then the thread that has the request serves it itself, if no other one is under
//! way ([`WindowThread::alone`]).
//!
//! A request that waits for this thread does not keep its ring from being stopped: it has left the
//! ring before (see [`crate::ring::quiesce`]). It occupies a descriptor of its ring, so there are
//! never more jobs than the rings have descriptors.
//!
//! Before a file is mapped, the threads of [`super::openers`] open it. If the VMM answers so soon, the
//! thread that has opened the file serves the request as well.
//!
//! Only these requests run here. Other requests need a thread with its own umask (see
//! [`crate::ring::threads`]), which this thread does not have.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use super::files::FileToOpen;
use super::openers::{OpenService, Openers};
use crate::fs::NodeId;
use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::threads::ThreadsError;

/// A job, and the file to open before it.
type OpenJob<J> = (FileToOpen, J);

/// Does jobs of type `J`: requests that have left their ring for the window.
pub(crate) trait WindowService<J>: Send + Sync + 'static {
    /// Opens a file for a job. This may hang, so the caller holds nothing of the window.
    fn open(&self, file: &FileToOpen, job: &mut J);

    /// Serves the request, and returns it to the guest. Drops `under_way` once the VMM has
    /// answered.
    fn serve_window(&self, job: J, under_way: OneUnderWay);

    /// Whether the VMM answers so soon that a thread with other work may wait for it.
    fn vmm_answers_soon(&self) -> bool;
}

/// The number of requests that are served or wait for the thread. Not those whose file is being
/// opened.
#[derive(Clone, Default)]
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    /// Adds one, if there is none.
    fn alone(&self) -> Option<OneUnderWay> {
        let (none, one) = (0, 1);
        let swapped = self
            .0
            .compare_exchange(none, one, Ordering::Acquire, Ordering::Relaxed);
        swapped.is_ok().then(|| OneUnderWay(self.clone()))
    }

    fn add(&self) -> OneUnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        OneUnderWay(self.clone())
    }
}

/// A request that is served or waits for the thread.
pub(crate) struct OneUnderWay(UnderWay);

impl Drop for OneUnderWay {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Release);
    }
}

/// The jobs that wait for the thread.
struct Queue<J> {
    jobs: mpsc::Sender<(J, OneUnderWay)>,
    under_way: UnderWay,
}

impl<J> Clone for Queue<J> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            under_way: self.under_way.clone(),
        }
    }
}

impl<J> Queue<J> {
    /// Queues the job behind the earlier ones.
    fn push(&self, job: J) {
        // The thread takes jobs for as long as this sender is there.
        let _ = self.jobs.send((job, self.under_way.add()));
    }
}

/// The work of the threads that open files.
struct Opening<J, W> {
    service: Arc<W>,
    queue: Queue<J>,
}

impl<J: Send + 'static, W: WindowService<J>> OpenService<OpenJob<J>> for Opening<J, W> {
    type Own = (J, OneUnderWay);

    fn open(&self, (file, job): &mut OpenJob<J>) {
        self.service.open(file, job);
    }

    fn queue(&self, (_, job): OpenJob<J>) -> Option<Self::Own> {
        if self.service.vmm_answers_soon()
            && let Some(alone) = self.queue.under_way.alone()
        {
            return Some((job, alone));
        }
        self.queue.push(job);
        None
    }

    fn go_on(&self, (job, alone): Self::Own) {
        self.service.serve_window(job, alone);
    }
}

/// See the module's documentation. The thread ends when the last clone is dropped and all jobs are done.
pub(crate) struct WindowThread<J, W> {
    queue: Queue<J>,
    openers: Arc<Openers<OpenJob<J>, Opening<J, W>>>,
}

impl<J, W> Clone for WindowThread<J, W> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            openers: Arc::clone(&self.openers),
        }
    }
}

impl<J: Send + 'static, W: WindowService<J>> WindowThread<J, W> {
    /// Starts the thread; a panic in it ends the session by `fatal_error`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(
        service: Arc<W>,
        fatal_error: Arc<FatalErrorLatch>,
    ) -> Result<Self, ThreadsError> {
        let (jobs, next) = mpsc::channel::<(J, OneUnderWay)>();
        let under_way = UnderWay::default();
        let queue = Queue { jobs, under_way };
        let opening = Opening {
            service: Arc::clone(&service),
            queue: queue.clone(),
        };
        let openers = Arc::new(Openers::start(Arc::clone(&fatal_error), opening)?);
        let serve = move || {
            for (job, under_way) in next {
                fatal_error.guard(|| {
                    service.serve_window(job, under_way);
                    Ok(())
                });
            }
        };
        let thread = thread::Builder::new().name("window".to_owned());
        thread.spawn(serve).map_err(ThreadsError::Window)?;
        Ok(Self { queue, openers })
    }

    /// Lets the caller serve a request itself, for as long as it keeps the value. `None` if other
    /// requests are under way: they come first.
    pub(crate) fn alone(&self) -> Option<OneUnderWay> {
        self.queue.under_way.alone()
    }

    /// Whether `node` is being opened, or will be.
    pub(crate) fn opens(&self, node: NodeId) -> bool {
        self.openers.opens(node)
    }

    /// Queues the job behind the earlier ones.
    pub(crate) fn run(&self, job: J) {
        self.queue.push(job);
    }

    /// Has another thread open `file`, and queues the job afterwards.
    pub(crate) fn open_and_run(&self, file: FileToOpen, job: J) {
        self.openers.run(file.node, (file, job));
    }
}
