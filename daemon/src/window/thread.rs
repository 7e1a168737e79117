// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The thread that serves requests about the window.
//!
//! They wait for QEMU, a hundred times as long as most others take; so whoever takes one off its
//! ring hands it over, and goes on with the next request. There is one such thread, since one
//! window operation is done at a time.
//!
//! A request that waits for this thread is not waited for by whoever stops its ring: it has stepped
//! aside before (see [`crate::ring::quiesce`]). It occupies a descriptor of its ring, so there are never more
//! of them than the rings have.
//!
//! A file that is to be mapped is opened before, by the threads beside this one ([`crate::window::openers`]).
//!
//! Nothing but these requests runs here. Others need an umask of their thread's own (see
//! [`crate::ring::threads`]), which this thread has not.

use std::sync::{Arc, mpsc};
use std::thread;

use crate::fs::NodeId;
use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::threads::ThreadsError;
use crate::window::openers::Openers;

type Job = Box<dyn FnOnce() + Send>;

/// See the module's documentation. The thread ends when nobody has this any more and all is served.
#[derive(Clone)]
pub(crate) struct WindowThread {
    jobs: mpsc::Sender<Job>,
    openers: Arc<Openers>,
}

impl WindowThread {
    /// Starts it; a panic in it ends the session by `fatal_error`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(fatal_error: Arc<FatalErrorLatch>) -> Result<Self, ThreadsError> {
        let (jobs, next) = mpsc::channel::<Job>();
        let openers = Arc::new(Openers::start(Arc::clone(&fatal_error))?);
        let serve = move || {
            for job in next {
                fatal_error.guard(|| {
                    job();
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

    /// Opens `node` on another thread, which passes what comes of it on to this one.
    pub(crate) fn open<T: Send + 'static>(
        &self,
        node: NodeId,
        open: impl FnOnce() -> T + Send + 'static,
        serve: impl FnOnce(T) + Send + 'static,
    ) {
        let jobs = self.jobs.clone();
        self.openers.run(node, move || {
            let opened = open();
            let _ = jobs.send(Box::new(move || serve(opened)));
        });
    }

    /// Has it serve one request, after those before it.
    pub(crate) fn run(&self, serve: impl FnOnce() + Send + 'static) {
        // It takes them for as long as this is there.
        let _ = self.jobs.send(Box::new(serve));
    }
}
