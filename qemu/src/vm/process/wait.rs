// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Waits for a file descriptor, for a file to appear, and for processes that are not this process's
//! children.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long forked processes may outlive the process that forked them: they notice its end at once.
const FAMILY_DEADLINE: Duration = Duration::from_secs(5);

/// Watches when `fd` is readable.
///
/// # Panics
/// Outside of a tokio runtime.
pub(super) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor must stay open and the same until it is deregistered. `AsyncFd` owns
    // it, deregisters before it closes it, and gives out only shared references to an `OwnedFd`.
    let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    registered.map_err(|error| error.into_parts().1)
}

/// Waits until something exists at `path`, whose folder must exist already.
pub(super) async fn appeared(path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&events, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
    let events = readable(events)?;
    // Checked only once the watch exists, so that no appearance is missed.
    while !path.try_exists()? {
        drained(&events).await?;
    }
    Ok(())
}

/// Waits for events and reads them all; their content doesn't matter.
async fn drained(events: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let mut ready = events.readable().await?;
    match ready.try_io(|fd| rustix::io::read(fd.get_ref(), &mut buffer).map_err(Into::into)) {
        Ok(read) => read.map(drop),
        Err(_would_block) => Ok(()),
    }
}

/// A process and all that it forks. Each holds the write end of a pipe as its standard output (and
/// writes nothing there); once the last of them is gone, the pipe is closed.
#[derive(Debug)]
pub(super) struct Family {
    pipe: PipeReader,
}

impl Family {
    /// A family without a member, and the pipe end that makes a process a member: its standard
    /// output.
    pub(super) fn new() -> io::Result<(Self, PipeWriter)> {
        let (pipe, member) = io::pipe()?;
        Ok((Self { pipe }, member))
    }

    /// Waits until no member is left. To be called when the first member has ended; the wait is
    /// then so short that blocking does no harm.
    pub(super) fn wait(&self) {
        let mut pipe = [PollFd::new(&self.pipe, PollFlags::empty())];
        let deadline = Timespec::try_from(FAMILY_DEADLINE).ok();
        match poll(&mut pipe, deadline.as_ref()) {
            Ok(0) => log::warn!("processes of the daemon are left after {FAMILY_DEADLINE:?}"),
            Ok(_) => {}
            Err(error) => log::warn!("can't wait for the daemon's processes: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_made_before_and_after_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let waiter = appeared(&path);
        let maker = async {
            std::fs::write(dir.path().join("other"), "").unwrap();
            tokio::task::yield_now().await;
            std::fs::write(&path, "").unwrap();
        };
        let (seen, ()) = tokio::join!(waiter, maker);
        seen.unwrap();
        appeared(&path).await.unwrap();
    }
}
