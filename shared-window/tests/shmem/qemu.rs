// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM's half of the back-end channel.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use shared_window::{Access, FileOffset, ProcessWindow, Vmm, WindowOffset, WindowSize};
use vhost::vhost_user::message::{VhostUserMMap, VhostUserSharedMsg};
use vhost::vhost_user::{
    Backend, Error, FrontendReqHandler, HandlerResult, VhostUserFrontendReqHandler,
};

/// How long a test waits for a request to arrive before it gives up.
const ARRIVAL: Duration = Duration::from_secs(60);

/// The protocol features that were negotiated.
#[derive(Clone, Copy)]
pub(crate) struct Features {
    pub(crate) reply_ack: bool,
    pub(crate) shared_object: bool,
    pub(crate) shmem: bool,
}

impl Features {
    pub(crate) const ALL: Self = Self {
        reply_ack: true,
        shared_object: true,
        shmem: true,
    };
}

/// A request that has arrived; maps and unmaps with their window offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Map(u64),
    Unmap(u64),
    Fence,
}

/// A VMM that serves one channel in a thread, until that is closed.
pub(crate) struct Qemu {
    state: Arc<Shared>,
    channel: UnixStream,
    thread: Option<JoinHandle<()>>,
}

/// Keeps the VMM from committing, until released.
pub(crate) struct HeldCommits(Arc<Shared>);

struct Shared {
    memory: ProcessWindow,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    seen: Vec<Seen>,
    /// Acknowledged, and to be committed.
    pending: Option<Pending>,
    commits_held: bool,
    leaves_at_map: bool,
    /// How many fences get the failure that proves an answer, before others get success.
    forgets_fences_after: Option<usize>,
}

enum Pending {
    Map(VhostUserMMap, OwnedFd),
    Unmap(VhostUserMMap),
}

impl Qemu {
    /// Starts to serve; returns the other half too, for the device.
    pub(crate) fn start(size: WindowSize, features: Features) -> (Self, Backend) {
        let state = Arc::new(Shared {
            memory: ProcessWindow::new(size).unwrap(),
            inner: Mutex::default(),
            changed: Condvar::new(),
        });
        let mut handler = FrontendReqHandler::new(Arc::clone(&state)).unwrap();
        handler.set_reply_ack_flag(features.reply_ack);
        // SAFETY: the handler owns the descriptor and is alive; it is duplicated at once.
        let theirs = unsafe { BorrowedFd::borrow_raw(handler.get_tx_raw_fd()) };
        let channel = UnixStream::from(theirs.try_clone_to_owned().unwrap());
        let backend = Backend::from_stream(channel.try_clone().unwrap());
        backend.set_reply_ack_flag(features.reply_ack);
        backend.set_shared_object_flag(features.shared_object);
        backend.set_shmem_flag(features.shmem);
        let shared = Arc::clone(&state);
        let thread = Some(std::thread::spawn(move || shared.serve(handler)));
        let qemu = Self {
            state,
            channel,
            thread,
        };
        (qemu, backend)
    }

    /// The guest's view of the window.
    pub(crate) fn memory(&self) -> &ProcessWindow {
        &self.state.memory
    }

    /// What has arrived so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    pub(crate) fn wait_for(&self, request: Seen) {
        let waits = |inner: &mut Inner| !inner.seen.contains(&request);
        let (inner, timeout) = self
            .state
            .changed
            .wait_timeout_while(self.state.lock(), ARRIVAL, waits)
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "{request:?} did not arrive: {:?}",
            inner.seen
        );
    }

    pub(crate) fn hold_commits(&self) -> HeldCommits {
        self.state.lock().commits_held = true;
        HeldCommits(Arc::clone(&self.state))
    }

    /// Answers fences with success, as if there were none, once so many have been answered.
    pub(crate) fn forget_fences_after(&self, answered: usize) {
        self.state.lock().forgets_fences_after = Some(answered);
    }

    /// Closes the channel instead of answering the next request for a mapping.
    pub(crate) fn leave_at_next_map(&self) {
        self.state.lock().leaves_at_map = true;
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // The vhost crate's front end holds both ends of its socket, so it would not notice that
        // the device has closed its own.
        let _ = self.channel.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // An error is how it leaves at a map.
            let _ = thread.join();
        }
    }
}

impl HeldCommits {
    pub(crate) fn let_go(self) {
        self.0.lock().commits_held = false;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn serve(&self, mut handler: FrontendReqHandler<Self>) {
        loop {
            match handler.handle_request() {
                Ok(_) | Err(Error::ReqHandlerError(_)) => self.commit(),
                Err(_) => return,
            }
        }
    }

    /// Puts what has been acknowledged into effect.
    fn commit(&self) {
        let held = |inner: &mut Inner| inner.commits_held && inner.pending.is_some();
        let mut inner = self.changed.wait_while(self.lock(), held).unwrap();
        let done = match inner.pending.take() {
            Some(Pending::Map(request, file)) => self.memory.map(
                WindowOffset(request.shm_offset),
                request.len,
                std::os::fd::AsFd::as_fd(&file),
                FileOffset(request.fd_offset),
                Access::ReadWrite,
            ),
            Some(Pending::Unmap(request)) => self
                .memory
                .unmap(WindowOffset(request.shm_offset), request.len),
            None => Ok(()),
        };
        done.expect("what was acknowledged can be done");
    }

    fn arrived(&self, request: Seen) -> MutexGuard<'_, Inner> {
        let mut inner = self.lock();
        inner.seen.push(request);
        self.changed.notify_all();
        inner
    }

    fn overlaps(&self, request: &VhostUserMMap) -> bool {
        let (start, end) = (request.shm_offset, request.shm_offset + request.len);
        let mapped = self.memory.mapped();
        let mut ranges = mapped.iter().map(|(range, _)| range);
        ranges.any(|range| range.start().0 < end && start < range.end().0)
    }
}

impl VhostUserFrontendReqHandler for Shared {
    fn shared_object_remove(&self, _: &VhostUserSharedMsg) -> HandlerResult<u64> {
        let inner = self.arrived(Seen::Fence);
        let fences = inner.seen.iter().filter(|seen| **seen == Seen::Fence);
        match inner.forgets_fences_after {
            Some(answered) if fences.count() > answered => Ok(0),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn shmem_map(&self, request: &VhostUserMMap, file: &dyn AsRawFd) -> HandlerResult<u64> {
        let mut inner = self.arrived(Seen::Map(request.shm_offset));
        if inner.leaves_at_map {
            drop(inner);
            // Ends the thread without an answer, and drops the VMM's end of the channel with it.
            std::panic::resume_unwind(Box::new("the VMM leaves"));
        }
        if self.overlaps(request) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // SAFETY: the handler keeps the file open during the call; it is duplicated at once.
        let file = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
        inner.pending = Some(Pending::Map(*request, file.try_clone_to_owned()?));
        Ok(0)
    }

    fn shmem_unmap(&self, request: &VhostUserMMap) -> HandlerResult<u64> {
        let mut inner = self.arrived(Seen::Unmap(request.shm_offset));
        let exact = self.memory.mapped().iter().any(|(range, _)| {
            (range.start().0, range.len()) == ({ request.shm_offset }, { request.len })
        });
        if !exact {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.pending = Some(Pending::Unmap(*request));
        Ok(0)
    }
}
