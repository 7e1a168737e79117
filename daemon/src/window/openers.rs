// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The threads that open files for the window.
//!
//! An open takes as long as the file's own file system likes: up to 45 s for a lease, and without
//! limit for a server that hangs. So files are opened neither in an operation of the window
//! ([`super::operations`]) nor on the window's thread, but here. Opens of one file run one at a
//! time, in the order of the requests; opens of different files run in parallel. An open that hangs
//! takes one thread, however many requests wait for its file.
//!
//! Most opens take less time than to wake a thread. So one thread opens file after file, and
//! another one watches. If no open begins for [`LONG`] while files wait, each waiting file gets a
//! thread.
//!
//! A job is queued for its call to the VMM in the same moment as its file stops being opened. So
//! when the guest gets the reply, its next request finds the file open.
//!
//! Beyond [`MOST`] opens that take long, the others wait. A request that waits here is in the place
//! `Window` of its ring, so a stop of the ring does not wait for it (see [`crate::ring::quiesce`]).
//! It occupies a descriptor of the ring, so there are never more such requests than the rings have
//! descriptors.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::fs::NodeId;
use crate::ring::fatal_error::FatalErrorLatch;
use crate::ring::threads::ThreadsError;

/// The largest number of threads. There are more than [`KEPT`] only while more than one file is
/// being opened.
pub(crate) const MOST: usize = 64;
/// How many threads stay when there is nothing to do: one to open, one to watch.
const KEPT: usize = 2;
/// How long files wait for the ones before them. Less than a guest notices, and many times as long
/// as an open that waits for nothing.
const LONG: Duration = Duration::from_millis(1);

struct State<J> {
    /// The waiting jobs of each file, without the one whose file is being opened. A file has an
    /// entry while it has either.
    files: HashMap<NodeId, VecDeque<J>>,
    /// Files of which a thread may do the next job.
    ready: VecDeque<NodeId>,
    threads: usize,
    idle: usize,
    /// How many jobs have been begun; also the number of the last one.
    begun: u64,
    /// The jobs under way up to this number take long, and others don't wait for them.
    slow_up_to: u64,
    /// How many other jobs are under way.
    quick: usize,
    /// The waiting files have waited long, so each idle thread may begin a job.
    is_late: bool,
    closed: bool,
}

/// A job that a thread has begun.
struct Begun<J> {
    node: NodeId,
    number: u64,
    job: J,
}

/// What a thread does with a job, in three steps.
pub(crate) trait OpenService<J>: Send + Sync + 'static {
    /// A job that the thread which has opened the file goes on with.
    type Own;

    /// Opens the file. This may hang.
    fn open(&self, job: &mut J);

    /// Puts the job in its place behind the earlier ones. Returns it if this thread is to go on
    /// with it. Must not block: no other job can be queued meanwhile.
    fn queue(&self, job: J) -> Option<Self::Own>;

    /// Goes on with the job. Other jobs of the file may be begun.
    fn go_on(&self, job: Self::Own);
}

struct Shared<J, S> {
    state: Mutex<State<J>>,
    changed: Condvar,
    service: S,
    fatal_error: Arc<FatalErrorLatch>,
}

/// See the module's documentation. The threads end when this is dropped and all jobs are done.
pub(crate) struct Openers<J, S>(Arc<Shared<J, S>>);

impl<J: Send + 'static, S: OpenService<J>> Openers<J, S> {
    /// Starts the threads that stay. Each thread does its jobs by `service`; a panic in one ends the
    /// session by `fatal_error`.
    ///
    /// # Errors
    /// If they can't be started.
    pub(crate) fn start(
        fatal_error: Arc<FatalErrorLatch>,
        service: S,
    ) -> Result<Self, ThreadsError> {
        let state = State {
            files: HashMap::new(),
            ready: VecDeque::new(),
            threads: KEPT,
            idle: 0,
            begun: 0,
            slow_up_to: 0,
            quick: 0,
            is_late: false,
            closed: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            service,
            fatal_error,
        };
        let openers = Self(Arc::new(shared));
        // Those that stay are there from the start, so that an idle session's threads never change.
        for _ in 0..KEPT {
            openers.0.spawn().map_err(ThreadsError::Window)?;
        }
        Ok(openers)
    }

    /// Whether `node` is being opened, or a job for it waits.
    pub(crate) fn opens(&self, node: NodeId) -> bool {
        self.0.state.lock().files.contains_key(&node)
    }

    /// Queues `job`, which opens `node`, after all earlier jobs of that file.
    pub(crate) fn run(&self, node: NodeId, job: J) {
        let mut state = self.0.state.lock();
        if let Some(waiting) = state.files.get_mut(&node) {
            waiting.push_back(job);
            return;
        }
        state.files.insert(node, VecDeque::from([job]));
        state.ready.push_back(node);
        // The thread that watches for the first waiting file watches for all of them.
        if state.ready.len() == 1 || state.is_late {
            self.0.call(state);
        }
    }
}

impl<J, S> Drop for Openers<J, S> {
    fn drop(&mut self) {
        self.0.state.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl<J> State<J> {
    /// Whether an idle thread may begin a job: no busy thread would begin it soon.
    fn may_begin(&self) -> bool {
        self.quick == 0 || self.is_late
    }

    /// Begins the next job of the file that has waited longest.
    fn begin(&mut self) -> Option<Begun<J>> {
        let node = self.ready.pop_front()?;
        let job = self.files.get_mut(&node).and_then(VecDeque::pop_front)?;
        self.is_late &= !self.ready.is_empty();
        self.begun += 1;
        self.quick += 1;
        let number = self.begun;
        Some(Begun { node, number, job })
    }

    /// Ends the open of `node`, so that the file can be opened again.
    fn opened(&mut self, node: NodeId) {
        if self.files.get(&node).is_some_and(|more| !more.is_empty()) {
            // For this thread, or for another one that is about to check.
            self.ready.push_back(node);
        } else {
            self.files.remove(&node);
        }
    }

    /// Ends the job `number`.
    fn done(&mut self, number: u64) {
        if number > self.slow_up_to {
            self.quick -= 1;
        }
    }

    /// Records that no job has been begun for [`LONG`], although a file waits.
    fn note_late(&mut self) {
        self.is_late = true;
        self.slow_up_to = self.begun;
        self.quick = 0;
    }
}

impl<J: Send + 'static, S: OpenService<J>> Shared<J, S> {
    fn spawn(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::clone(self);
        let thread = thread::Builder::new().name("open".to_owned());
        thread.spawn(move || shared.work()).map(drop)
    }

    /// Wakes or starts a thread to open what is ready, or to watch while others do.
    fn call(self: &Arc<Self>, mut state: MutexGuard<'_, State<J>>) {
        if state.idle > 0 {
            self.changed.notify_one();
        } else if state.threads < MOST {
            state.threads += 1;
            drop(state);
            // On failure the existing threads will come to it.
            if self.spawn().is_err() {
                self.state.lock().threads -= 1;
            }
        }
    }

    fn work(self: Arc<Self>) {
        let mut next = self.next(self.state.lock(), false);
        while let Some(Begun {
            node,
            number,
            mut job,
        }) = next
        {
            let mut opened = None;
            self.fatal_error.guard(|| {
                self.service.open(&mut job);
                opened = Some(job);
                Ok(())
            });
            let mut state = self.state.lock();
            // With the lock held: a request that finds the file not being opened is queued later.
            let own = opened.and_then(|job| self.service.queue(job));
            state.opened(node);
            if let Some(own) = own {
                drop(state);
                self.fatal_error.guard(|| {
                    self.service.go_on(own);
                    Ok(())
                });
                state = self.state.lock();
            }
            state.done(number);
            next = self.next(state, true);
        }
    }

    /// The next job of this thread. None if the thread is to end: when all is done, or when enough
    /// threads are idle. A thread that has just done a job `goes_on` with the next.
    fn next(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<J>>,
        mut goes_on: bool,
    ) -> Option<Begun<J>> {
        loop {
            if (goes_on || state.may_begin())
                && let Some(begun) = state.begin()
            {
                if !goes_on && !state.ready.is_empty() {
                    self.call(state);
                }
                return Some(begun);
            }
            if state.ready.is_empty() && (state.closed || state.idle >= KEPT) {
                state.threads -= 1;
                return None;
            }
            goes_on = false;
            state.idle += 1;
            self.look_on(&mut state);
            state.idle -= 1;
        }
    }

    /// Waits for a job. Records that jobs are late if none is begun for [`LONG`].
    fn look_on(&self, state: &mut MutexGuard<'_, State<J>>) {
        if state.ready.is_empty() {
            self.changed.wait(state);
            return;
        }
        let begun = state.begun;
        let waited = self.changed.wait_for(state, LONG);
        if waited.timed_out() && state.begun == begun && !state.ready.is_empty() {
            state.note_late();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;
    use crate::testing::{MUST_HAPPEN, expect, expect_to_wait};

    type Job = Box<dyn FnMut() + Send>;

    /// Runs each job as the open of its file.
    struct Run;

    impl OpenService<Job> for Run {
        type Own = ();

        fn open(&self, job: &mut Job) {
            job();
        }

        fn queue(&self, _: Job) -> Option<()> {
            None
        }

        fn go_on(&self, (): ()) {}
    }

    fn openers() -> Openers<Job, Run> {
        Openers::start(Arc::default(), Run).expect("a thread")
    }

    /// Queues an open of `node`, which begins and then waits for the sender.
    fn hang(openers: &Openers<Job, Run>, node: u64) -> Sender<()> {
        let ((begins, begun), (end, ended)) = (mpsc::channel(), mpsc::channel::<()>());
        let job = move || {
            begins.send(()).expect("a test that waits");
            let _ = ended.recv_timeout(MUST_HAPPEN);
        };
        openers.run(NodeId(node), Box::new(job));
        expect(&begun, "an open to begin");
        end
    }

    fn ask(openers: &Openers<Job, Run>, node: u64) -> Receiver<()> {
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

    /// Opens nothing, and goes on with each job: tells its begin, and waits for its end.
    struct GoOn;

    impl OpenService<(Sender<()>, Receiver<()>)> for GoOn {
        type Own = (Sender<()>, Receiver<()>);

        fn open(&self, _: &mut Self::Own) {}

        fn queue(&self, job: Self::Own) -> Option<Self::Own> {
            Some(job)
        }

        fn go_on(&self, (begins, ended): Self::Own) {
            begins.send(()).expect("a test that waits");
            let _ = ended.recv_timeout(MUST_HAPPEN);
        }
    }

    #[test]
    fn a_file_is_not_being_opened_while_its_thread_goes_on() {
        let openers = Openers::start(Arc::default(), GoOn).expect("a thread");
        let ((begins, begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
        openers.run(NodeId(1), (begins, ended));
        expect(&begun, "the job to go on");
        assert!(!openers.opens(NodeId(1)));
        drop(end);
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
        while threads() > KEPT {
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
