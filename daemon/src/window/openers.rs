// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The threads that open files for the window.
//!
//! An open takes as long as the file's own file system likes: a lease is waited for up to 45 s, a
//! server that hangs for ever. So none is done in an operation of the window
//! ([`super::operations`]), nor on the thread for the window, but here: one open of a file at a time,
//! in the order in which they were asked for, and files beside each other. An open that hangs takes
//! one thread, however many requests wait for its file.
//!
//! Beyond [`MOST`] opens that take long, the others wait. A request that waits here is in the place
//! `Window` of its ring, so it is not waited for when that is stopped (see [`crate::ring::quiesce`]); and it
//! occupies a descriptor of the ring, so there are never more of them than the rings have.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

use crate::fs::NodeId;
use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::threads::ThreadsError;

/// Threads at most. More than one are there only while more than one file is being opened.
pub(crate) const MOST: usize = 64;

struct State<J> {
    /// What is to be done for each file, without what is being done. A file is in here while it has
    /// either.
    files: HashMap<NodeId, VecDeque<J>>,
    /// Files of which a thread may do the next job.
    ready: VecDeque<NodeId>,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Shared<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    open: Box<dyn Fn(J) + Send + Sync>,
    fatal_error: Arc<FatalErrorLatch>,
}

/// See the module's documentation. The threads end when this is dropped and all is done.
pub(crate) struct Openers<J>(Arc<Shared<J>>);

impl<J: Send + 'static> Openers<J> {
    /// Starts the first thread, each of which does jobs by `open`; a panic in one ends the session by
    /// `fatal_error`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(
        fatal_error: Arc<FatalErrorLatch>,
        open: impl Fn(J) + Send + Sync + 'static,
    ) -> Result<Self, ThreadsError> {
        let state = State {
            files: HashMap::new(),
            ready: VecDeque::new(),
            threads: 1,
            idle: 0,
            closed: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            open: Box::new(open),
            fatal_error,
        };
        let openers = Self(Arc::new(shared));
        openers.spawn().map_err(ThreadsError::Window)?;
        Ok(openers)
    }

    /// Whether there is anything to be done for `node`, or being done.
    pub(crate) fn opens(&self, node: NodeId) -> bool {
        self.0.state.lock().files.contains_key(&node)
    }

    /// Does `job`, which opens `node`, after all that was asked for that file before.
    pub(crate) fn run(&self, node: NodeId, job: J) {
        let mut state = self.0.state.lock();
        if let Some(waiting) = state.files.get_mut(&node) {
            waiting.push_back(job);
            return;
        }
        state.files.insert(node, VecDeque::from([job]));
        state.ready.push_back(node);
        if state.idle >= state.ready.len() {
            self.0.changed.notify_one();
        } else if state.threads < MOST {
            state.threads += 1;
            drop(state);
            // The threads that are there will come to it.
            if self.spawn().is_err() {
                self.0.state.lock().threads -= 1;
            }
        }
    }

    fn spawn(&self) -> std::io::Result<()> {
        let shared = Arc::clone(&self.0);
        let thread = thread::Builder::new().name("open".to_owned());
        thread.spawn(move || shared.work()).map(drop)
    }
}

impl<J> Drop for Openers<J> {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl<J> Shared<J> {
    fn work(&self) {
        while let Some((node, job)) = self.next() {
            self.fatal_error.guard(|| {
                (self.open)(job);
                Ok(())
            });
            self.done(node);
        }
    }

    /// What this thread does next. Nothing when it is to end: when all is over, or another thread is
    /// there for what comes.
    fn next(&self) -> Option<(NodeId, J)> {
        let mut state = self.state.lock();
        loop {
            if let Some(node) = state.ready.pop_front()
                && let Some(job) = state.files.get_mut(&node).and_then(VecDeque::pop_front)
            {
                return Some((node, job));
            }
            if state.closed || state.idle > 0 {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            self.changed.wait(&mut state);
            state.idle -= 1;
        }
    }

    /// The file can be opened again.
    fn done(&self, node: NodeId) {
        let mut state = self.state.lock();
        if state.files.get(&node).is_some_and(|more| !more.is_empty()) {
            // For this very thread, or another one that is about to look.
            state.ready.push_back(node);
        } else {
            state.files.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;
    use crate::testing::{MUST_HAPPEN, expect, expect_to_wait};

    type Job = Box<dyn FnOnce() + Send>;

    fn openers() -> Openers<Job> {
        Openers::start(Arc::default(), |job: Job| job()).expect("a thread")
    }

    /// Has `node` opened, which begins and then waits for the sender.
    fn hang(openers: &Openers<Job>, node: u64) -> Sender<()> {
        let ((begins, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
        let job = move || {
            begins.send(()).expect("a test that waits");
            let _ = ended.recv_timeout(MUST_HAPPEN);
        };
        openers.run(NodeId(node), Box::new(job));
        expect(&begun, "an open to begin");
        end
    }

    fn ask(openers: &Openers<Job>, node: u64) -> Receiver<()> {
        let (opens, opened) = mpsc::channel();
        let job = move || opens.send(()).expect("a test");
        openers.run(NodeId(node), Box::new(job));
        opened
    }

    #[test]
    fn an_open_that_hangs_holds_up_its_own_file_alone() {
        let openers = openers();
        let hung: Vec<_> = (0..8).map(|node| hang(&openers, node)).collect();
        let same = ask(&openers, 3);
        expect(&ask(&openers, 100), "another file");
        expect_to_wait(&same, "two opens of one file at once");
        drop(hung);
        expect(&same, "the file whose open hung");
    }

    #[test]
    fn a_file_is_opened_in_the_order_of_the_requests() {
        let openers = openers();
        let hung = hang(&openers, 1);
        let (opens, opened) = mpsc::channel();
        for nth in 0..100 {
            let opens = opens.clone();
            let job = move || opens.send(nth).expect("a test");
            openers.run(NodeId(1), Box::new(job));
        }
        drop(hung);
        let order: Vec<i32> = (0..100).map(|_| expect(&opened, "an open")).collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn there_are_no_more_threads_than_are_needed_or_allowed() {
        let openers = openers();
        let hung: Vec<_> = (0..MOST as u64).map(|node| hang(&openers, node)).collect();
        let beyond = ask(&openers, 1000);
        expect_to_wait(&beyond, "more threads than there may be");
        assert_eq!(openers.0.state.lock().threads, MOST);
        drop(hung);
        expect(&beyond, "the one beyond");
        for round in 0..1000 {
            expect(&ask(&openers, round), "an open");
        }
        let threads = || openers.0.state.lock().threads;
        let deadline = std::time::Instant::now() + MUST_HAPPEN;
        while threads() > 1 {
            assert!(
                std::time::Instant::now() < deadline,
                "{} threads",
                threads()
            );
            thread::yield_now();
        }
        let shared = Arc::downgrade(&openers.0);
        drop(openers);
        while shared.strong_count() > 0 {
            assert!(std::time::Instant::now() < deadline, "a thread is left");
            thread::yield_now();
        }
    }
}
