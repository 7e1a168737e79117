// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Collects numbers that need a clock.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant, SystemTime};

use shared_window::{Call, Mapping};
use virtiofsd::fuse::{InHeader, OutHeader, WriteIn};

use super::Counter;
use super::cell::Cell;
use super::histogram::{Distribution, Histogram};
use super::names::Names;
use super::operation::{self, Class, OPERATIONS};
use crate::adapter::ChainBuffers;
use crate::node::NodeId;

/// Error numbers of Linux are below the last of these, which stands for all that are none.
const ERRORS: usize = 135;

/// The collected numbers. Shared by all threads that serve; read at any time.
#[derive(Debug)]
pub struct Observer {
    started: SystemTime,
    begun: Instant,
    operations: [Counter; OPERATIONS.len()],
    errors: [Counter; ERRORS],
    latencies: [Histogram; Class::ALL.len()],
    calls: [Histogram; Call::ALL.len()],
    read: Counter,
    written: Counter,
    names: Names,
}

/// What an [`Observer`] has collected so far.
#[derive(Debug)]
pub struct Observed {
    /// When the daemon began to serve.
    pub started: SystemTime,
    /// How long ago that was, by the monotonic clock.
    pub running: Duration,
    /// Requests answered by operation; the names occur once each.
    pub operations: Vec<(&'static str, u64)>,
    /// Requests answered with an error, by the error's number; only those that occurred.
    pub errors: Vec<(i32, u64)>,
    /// How long requests took, by class.
    pub latencies: Vec<(Class, Distribution)>,
    /// How long calls to the VMM took, by the call's name.
    pub calls: Vec<(&'static str, Distribution)>,
    /// Bytes of file data in replies to READ.
    pub read_bytes: u64,
    /// Bytes of file data in WRITEs that succeeded.
    pub written_bytes: u64,
    /// The window's ranges that are not free.
    pub cells: Vec<Cell>,
}

impl Observer {
    /// Nothing is collected yet. `names` says what files are called.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self {
            started: SystemTime::now(),
            begun: Instant::now(),
            operations: std::array::from_fn(|_| Counter::default()),
            errors: std::array::from_fn(|_| Counter::default()),
            latencies: std::array::from_fn(|_| Histogram::default()),
            calls: std::array::from_fn(|_| Histogram::default()),
            read: Counter::default(),
            written: Counter::default(),
            names,
        }
    }

    /// Records that a request was answered with `len` bytes. `begun` is the start of its
    /// processing.
    pub(crate) fn answered(
        &self,
        header: &InHeader,
        request: &ChainBuffers,
        len: u32,
        begun: Instant,
    ) {
        let index = operation::index(header.opcode);
        let class = OPERATIONS[index].1;
        self.latencies[class as usize].record(begun.elapsed());
        self.operations[index].count();
        if (len as usize) < size_of::<OutHeader>() {
            return;
        }
        match error_of(request) {
            0 => self.count_bytes(class, request, len),
            errno => self.errors[errno].count(),
        }
    }

    /// The data of a READ is all of the reply but its header. That of a WRITE is what the request
    /// has room for at most, whatever the guest wrote over the reply meanwhile.
    fn count_bytes(&self, class: Class, request: &ChainBuffers, len: u32) {
        match class {
            Class::Read => self
                .read
                .add((len as usize - size_of::<OutHeader>()) as u64),
            Class::Write => {
                let sent = size_of::<InHeader>() + size_of::<WriteIn>();
                let most = request.readable_len().saturating_sub(sent);
                let mut size = [0; 4];
                if request
                    .read_back_at(size_of::<OutHeader>(), &mut size)
                    .is_ok()
                {
                    let size = u32::from_ne_bytes(size) as usize;
                    self.written.add(size.min(most) as u64);
                }
            }
            _ => {}
        }
    }

    /// Records the time of a call to the VMM.
    pub(crate) fn called(&self, call: Call, took: Duration) {
        self.calls[call as usize].record(took);
    }

    /// Records the name of a file that was opened for the window.
    pub(crate) fn opened(&self, node: NodeId, file: BorrowedFd<'_>) {
        self.names.note(node, file);
    }

    /// What has been collected so far, and the names of the files in `mappings`.
    #[must_use]
    pub fn read(&self, mappings: &[Mapping]) -> Observed {
        let named = |at: usize| (OPERATIONS[at].0, self.operations[at].get());
        let is_first = |at: &usize| *at == 0 || OPERATIONS[*at].0 != OPERATIONS[0].0;
        let errors = self.errors.iter().enumerate();
        Observed {
            started: self.started,
            running: self.begun.elapsed(),
            operations: (0..OPERATIONS.len()).filter(is_first).map(named).collect(),
            errors: errors
                .map(|(errno, count)| (errno as i32, count.get()))
                .filter(|(_, count)| *count > 0)
                .collect(),
            latencies: Class::ALL
                .map(|class| (class, self.latencies[class as usize].read()))
                .into(),
            calls: Call::ALL
                .map(|call| (call_name(call), self.calls[call as usize].read()))
                .into(),
            read_bytes: self.read.get(),
            written_bytes: self.written.get(),
            cells: mappings
                .iter()
                .filter_map(|mapping| Cell::of(mapping, &self.names))
                .collect(),
        }
    }
}

/// A call's name as the value of a label.
fn call_name(call: Call) -> &'static str {
    match call {
        Call::Map => "map",
        Call::Unmap => "unmap",
        Call::Fence => "settle",
    }
}

/// The errno in the reply, 0 for none. It can be any number, since the guest may have overwritten
/// it already.
fn error_of(request: &ChainBuffers) -> usize {
    let mut error = [0; 4];
    match request.read_back_at(size_of::<u32>(), &mut error) {
        Ok(()) => {
            let errno = i32::from_ne_bytes(error).unsigned_abs() as usize;
            if errno < ERRORS { errno } else { ERRORS - 1 }
        }
        Err(_) => 0,
    }
}
