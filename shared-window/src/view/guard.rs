// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Keeps other processes of the host from truncating files that have a view.
//!
//! A lost page of a truncated file kills the VMM when it is accessed through a view. fanotify asks
//! before a truncation. A file is marked when its view is open, and before the view is sent to any
//! process. From then on truncate(2), ftruncate(2), fallocate(2) that collapses, and an open with
//! O_TRUNC wait for an answer of this process. The answer is ETXTBSY if a page would be lost. The
//! client's own operations are allowed: it truncates for the guest, whose kernel has removed its
//! mappings before.
//!
//! ```text
//!   view opened ─▶ marked ─▶ sent to the VMM … released ─▶ unmarked
//!        no event of this view's own pages: it was opened before
//! ```
//!
//! # No wait is long
//! One thread answers. It waits for nothing but events, except for the moment in which a thread
//! falls asleep whose event was already read. To answer, it reads a line or two of `/proc` and the
//! size of the file, takes no lock, and opens no file that could be marked. So it also answers
//! while the client, the VMM or the thread that serves views waits for such an event. If the thread
//! panics, the process ends; and when the process has ended for any reason, the kernel allows all
//! waiting and all later operations.

mod call;
mod event;

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::FileId;
use super::wire::Unguarded;
use call::Call;
use event::{Event, PRE_ACCESS};

/// How long a thread may take from its event to its sleep, a few instructions later.
const FALLS_ASLEEP: Duration = Duration::from_secs(1);
/// Pause between two checks whether the thread sleeps.
const PAUSE: Duration = Duration::from_micros(20);
/// What `/proc` shows for a thread that does not sleep.
const RUNNING: &str = "running";
/// The call's number and eight words.
const LONGEST_LINE: usize = 256;

/// The events of a marked file.
const EVENTS: u64 = PRE_ACCESS | libc::FAN_OPEN_PERM;
/// An answer that fails with ETXTBSY (`FAN_DENY_ERRNO`, of Linux 6.14).
const TEXT_BUSY: u32 = libc::FAN_DENY | (libc::ETXTBSY as u32) << 24;

/// The guard of a server's views.
#[derive(Debug)]
pub(super) struct Guard {
    group: OwnedFd,
    /// The process whose truncations are the guest's; 0 while it is unknown.
    client: AtomicI32,
    marked: Mutex<HashMap<FileId, Marked>>,
}

/// A marked file. The file systems that can be guarded have unique inode numbers.
#[derive(Debug)]
struct Marked {
    file: OwnedFd,
    views: usize,
}

/// The file of a view is guarded as long as this exists.
#[derive(Debug)]
pub(super) struct Guarded {
    guard: Arc<Guard>,
    id: FileId,
}

impl Guard {
    /// Starts the thread that answers. `share` is the directory of the files to guard.
    pub(super) fn start(share: &Path) -> Result<Arc<Self>, Unguarded> {
        let other = |errno: Errno| Unguarded::NoEvents(errno.raw_os_error());
        let group = new_group().map_err(|errno| match errno {
            Errno::INVAL | Errno::NOSYS => Unguarded::Kernel,
            errno => other(errno),
        })?;
        let mode = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let share = rustix::fs::open(share, mode, Mode::empty()).map_err(other)?;
        let mark = |how| mark(&group, how, &share);
        match mark(libc::FAN_MARK_ADD).and_then(|()| mark(libc::FAN_MARK_REMOVE)) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP) => return Err(Unguarded::FileSystem),
            Err(Errno::INVAL) => return Err(Unguarded::Kernel),
            Err(errno) => return Err(other(errno)),
        }
        // Checks a process other than this one, since the kernel lets every process read its own.
        let parent = rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
        read_call(parent, &mut [0; LONGEST_LINE]).map_err(|_| Unguarded::NoCalls)?;
        let guard = Arc::new(Self {
            group,
            client: AtomicI32::new(0),
            marked: Mutex::default(),
        });
        let answering = Arc::clone(&guard);
        thread::Builder::new()
            .name("guard".to_owned())
            .spawn(move || answering.answer_all())
            .map_err(|error| Unguarded::NoEvents(error.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        Ok(guard)
    }

    /// Sets the process that asks for views. Its own operations are never refused.
    pub(super) fn serves(&self, client: i32) {
        self.client.store(client, Ordering::Relaxed);
    }

    /// Guards a file that has an open view.
    pub(super) fn add(self: &Arc<Self>, file: OwnedFd) -> Result<Guarded, Errno> {
        let id = FileId::from(&rustix::fs::fstat(&file)?);
        let mut marked = self.marked();
        match marked.get_mut(&id) {
            Some(one) => one.views += 1,
            None => {
                mark(&self.group, libc::FAN_MARK_ADD, &file)?;
                marked.insert(id, Marked { file, views: 1 });
            }
        }
        drop(marked);
        Ok(Guarded {
            guard: Arc::clone(self),
            id,
        })
    }

    /// No step of the map can panic half-way.
    fn marked(&self) -> MutexGuard<'_, HashMap<FileId, Marked>> {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer_all(&self) -> ! {
        let _open = FailOpen;
        let mut buffer = [0; 4096];
        loop {
            // An error belongs to an event whose file could not be opened for this process. The
            // kernel has refused that operation, and there is nothing to answer.
            let len = rustix::io::read(&self.group, &mut buffer).unwrap_or(0);
            let mut events = &buffer[..len];
            while let Some(event) = Event::take(&mut events) {
                if let Some(event) = event {
                    self.answer(&event);
                }
            }
        }
    }

    fn answer(&self, event: &Event) {
        let refused = self.refuses(event) && self.say(event, TEXT_BUSY).is_ok();
        if !refused {
            // Fails if the event's thread has ended.
            let _ = self.say(event, libc::FAN_ALLOW);
        }
    }

    fn say(&self, event: &Event, answer: u32) -> Result<(), Errno> {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&event.file.as_raw_fd().to_ne_bytes());
        bytes[4..].copy_from_slice(&answer.to_ne_bytes());
        rustix::io::write(&self.group, &bytes).map(drop)
    }

    /// Most events are reads and writes, so the call is checked first.
    fn refuses(&self, event: &Event) -> bool {
        let Ok(stat) = rustix::fs::fstat(&event.file) else {
            return false;
        };
        let call = Self::call_of(event.thread);
        let size = stat.st_size.cast_unsigned();
        event.what.takes_pages(call, size) && !self.is_of_this_service(event.thread)
    }

    /// Whether a thread is the client's, or this process's.
    fn is_of_this_service(&self, thread: i32) -> bool {
        let client = self.client.load(Ordering::Relaxed);
        let is_of = |process: i32| Path::new(&format!("/proc/{process}/task/{thread}")).exists();
        client == 0 || is_of(client) || is_of(process::id().cast_signed())
    }

    /// The system call of a thread. The event may be read before the thread has gone to sleep; then
    /// `/proc` does not show its call yet.
    fn call_of(thread: i32) -> Option<Call> {
        let deadline = Instant::now() + FALLS_ASLEEP;
        loop {
            let mut buffer = [0; LONGEST_LINE];
            let len = read_call(thread, &mut buffer).unwrap_or(0);
            let line = str::from_utf8(&buffer[..len]).unwrap_or_default();
            if line.trim_end() != RUNNING || Instant::now() >= deadline {
                return Call::parse(line);
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let mut marked = self.guard.marked();
        let Some(one) = marked.get_mut(&self.id) else {
            return;
        };
        one.views -= 1;
        if one.views == 0
            && let Some(one) = marked.remove(&self.id)
        {
            // A mark that stays would only refuse too much, and is removed with the file.
            let _ = mark(&self.guard.group, libc::FAN_MARK_REMOVE, &one.file);
        }
    }
}

/// Ends the process if the thread that answers panics, so that no other process waits for it.
struct FailOpen;

impl Drop for FailOpen {
    fn drop(&mut self) {
        process::abort();
    }
}

/// Reads the line of `/proc` about a thread's system call.
fn read_call(thread: i32, line: &mut [u8]) -> Result<usize, Errno> {
    let path = format!("/proc/{thread}/syscall");
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::read(file, line)
}

fn new_group() -> Result<OwnedFd, Errno> {
    let flags = libc::FAN_CLASS_PRE_CONTENT
        | libc::FAN_CLOEXEC
        | libc::FAN_REPORT_TID
        | libc::FAN_UNLIMITED_QUEUE
        | libc::FAN_UNLIMITED_MARKS;
    let files = libc::O_RDONLY | libc::O_LARGEFILE | libc::O_CLOEXEC;
    // SAFETY: the call takes only numbers.
    let group = unsafe { libc::fanotify_init(flags, files.cast_unsigned()) };
    if group < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just opened it for this process.
    Ok(unsafe { OwnedFd::from_raw_fd(group) })
}

/// Adds or removes the mark of `file`.
fn mark(group: &OwnedFd, how: u32, file: &OwnedFd) -> Result<(), Errno> {
    let (group, file) = (group.as_fd().as_raw_fd(), file.as_fd().as_raw_fd());
    // SAFETY: both descriptors are open, and a null path stands for the file itself.
    let done = unsafe { libc::fanotify_mark(group, how, EVENTS, file, ptr::null()) };
    if done < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
