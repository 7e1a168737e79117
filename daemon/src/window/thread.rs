// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The thread that serves SETUPMAPPING and REMOVEMAPPING.
//!
//! These requests wait for QEMU, a hundred times as long as most others take. So the thread that takes one
//! off its ring queues it here, and goes on with the next request. There is one such thread,
//! since one window operation runs at a time.
//!
//! A request that waits for this thread does not keep its ring from being stopped: it has stepped
//! aside before (see [`crate::ring::quiesce`]). It occupies a descriptor of its ring, so there are never
//! more jobs than the rings have descriptors.
//!
//! A file that is to be mapped is opened before, by the threads beside this one ([`super::openers`]).
//!
//! Nothing but these requests runs here. Others need an umask of their thread's own (see
//! [`crate::ring::threads`]), which this thread has not.

use std::sync::{Arc, mpsc};
use std::thread;

use super::files::FileToOpen;
use super::openers::Openers;
use crate::fs::NodeId;
use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::threads::ThreadsError;

/// A job, and the file that has to be opened before.
type OpenJob<J> = (FileToOpen, J);

/// Does jobs of type `J`: requests that have stepped aside for the window.
pub(crate) trait WindowService<J>: Send + Sync + 'static {
    /// Opens a file for a job. It may hang, so nothing of the window may be held.
    fn open(&self, file: &FileToOpen, job: &mut J);

    /// Serves the request, and returns it to the guest.
    fn serve_window(&self, job: J);
}

/// See the module's documentation. The thread ends when the last clone is dropped and all jobs are done.
pub(crate) struct WindowThread<J> {
    jobs: mpsc::Sender<J>,
    openers: Arc<Openers<OpenJob<J>>>,
}

impl<J> Clone for WindowThread<J> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
            openers: Arc::clone(&self.openers),
        }
    }
}

impl<J: Send + 'static> WindowThread<J> {
    /// Starts it; a panic in it ends the session by `fatal_error`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        service: Arc<impl WindowService<J>>,
        fatal_error: Arc<FatalErrorLatch>,
    ) -> Result<Self, ThreadsError> {
        let (jobs, next) = mpsc::channel::<J>();
        let (opener, opened) = (Arc::clone(&service), jobs.clone());
        let open = move |(file, mut job): OpenJob<J>| {
            opener.open(&file, &mut job);
            // The thread takes jobs for as long as this sender is there.
            let _ = opened.send(job);
        };
        let openers = Arc::new(Openers::start(Arc::clone(&fatal_error), open)?);
        let serve = move || {
            for job in next {
                fatal_error.guard(|| {
                    service.serve_window(job);
                    Ok(())
                });
            }
        };
        let thread = thread::Builder::new().name("window".to_owned());
        thread.spawn(serve).map_err(ThreadsError::Window)?;
        Ok(Self { jobs, openers })
    }

    /// Whether `node` is being opened, or is about to be.
    pub(crate) fn opens(&self, node: NodeId) -> bool {
        self.openers.opens(node)
    }

    /// Has the job done after those before it.
    pub(crate) fn run(&self, job: J) {
        // The thread takes jobs for as long as this sender is there.
        let _ = self.jobs.send(job);
    }

    /// Has `file` opened on another thread, and then the job done.
    pub(crate) fn open_and_run(&self, file: FileToOpen, job: J) {
        self.openers.run(file.node, (file, job));
    }
}
