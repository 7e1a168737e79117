// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Conditions that must hold after every input.
//!
//! | oracle | it fails when an input |
//! |---|---|
//! | time | takes more than a second of processor time |
//! | [`memory`] | leaves memory behind, or allocates more at once than it may |
//! | descriptors | leaves a descriptor open |
//! | [`identity`] | leaves its thread another user, umask or directory |
//!
//! [`crate::fixture`] checks that an input does not leave the share. An oracle fails by a panic.

mod identity;
mod memory;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::os::fd::RawFd;
use std::sync::Once;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};
use rustix::fs::{Dir, Mode, OFlags};
use rustix::time::{ClockId, clock_gettime};

use identity::Identity;

/// How often an input is repeated that leaves something behind. A cache or a buffer that is filled
/// once is no leak; something that grows each time is.
const AGAIN: usize = 3;

/// The resources of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holdings {
    bytes: isize,
    descriptors: usize,
}

impl Holdings {
    fn now() -> Self {
        Self {
            bytes: memory::live(),
            descriptors: open_descriptors(),
        }
    }

    fn exceeds(self, other: Self) -> bool {
        self.bytes > other.bytes || self.descriptors > other.descriptors
    }
}

/// Plays an input, and checks what it leaves behind.
///
/// # Panics
/// If it leaves something behind.
pub fn judge(input: impl Fn()) {
    install_logger();
    // The file system sets this umask.
    rustix::process::umask(rustix::fs::Mode::empty());
    let identity = Identity::of_this_thread();
    let mut before = Holdings::now();
    for round in 0..=AGAIN {
        limit_time(&input);
        memory::check_largest();
        identity.check();
        let after = Holdings::now();
        if !after.exceeds(before) {
            return;
        }
        assert!(
            round < AGAIN,
            "each time that the input is played it leaves something behind: {before:?} became \
             {after:?}"
        );
        before = after;
    }
}

/// The limit of processor time of all threads for one input, so that a busy machine causes no
/// finding. Sanitizers make the daemon two to three times slower, which is not added. Waiting takes
/// no processor time; libFuzzer's `-timeout` covers a wait without end.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(1);

/// Runs `input` and measures its processor time.
fn limit_time(input: impl FnOnce()) {
    let begin = time_used();
    input();
    let taken = time_used().saturating_sub(begin);
    assert!(
        taken <= TIME_LIMIT,
        "the input took {taken:?} of processor time, {TIME_LIMIT:?} is allowed"
    );
}

/// The processor time of this process so far.
pub(crate) fn time_used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A log without output. It formats every message that a guest can cause.
struct Nowhere;

struct Swallow;

impl std::fmt::Write for Swallow {
    fn write_str(&mut self, _text: &str) -> std::fmt::Result {
        Ok(())
    }
}

impl Log for Nowhere {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // A wrong `Display` shows itself by a panic.
        let _ = Swallow.write_fmt(*record.args());
    }

    fn flush(&self) {}
}

/// Installs the logger, at the most verbose level.
fn install_logger() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another logger of a test works as well.
        if log::set_logger(&Nowhere).is_ok() {
            log::set_max_level(LevelFilter::Debug);
        }
    });
}

thread_local! {
    /// `/proc/self/fd`. A thread opens it once, because it may be in a directory tree without /proc
    /// later.
    static OPEN: RefCell<Option<Dir>> = const { RefCell::new(None) };
}

/// The number of open descriptors of this process, including the one that is used to count.
fn open_descriptors() -> usize {
    with_dir(|dir| match dir.stat().expect("a directory").st_size {
        // Linux older than 6.2 doesn't report the number in the status.
        0 => numbers_in(dir).len(),
        count => count as usize,
    })
}

/// The open descriptors.
pub(crate) fn descriptors() -> Vec<RawFd> {
    with_dir(numbers_in)
}

fn numbers_in(dir: &mut Dir) -> Vec<RawFd> {
    dir.rewind();
    dir.filter_map(|entry| {
        let entry = entry.expect("/proc can be read");
        entry.file_name().to_str().ok()?.parse().ok()
    })
    .collect()
}

fn with_dir<T>(look: impl FnOnce(&mut Dir) -> T) -> T {
    OPEN.with_borrow_mut(|slot| {
        look(slot.get_or_insert_with(|| {
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open("/proc/self/fd", flags, Mode::empty());
            Dir::new(opened.expect("/proc is mounted")).expect("a directory")
        }))
    })
}
