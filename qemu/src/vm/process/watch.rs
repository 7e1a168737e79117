// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Waiting for a file to appear.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::readiness::readable;

/// Waits until something exists at `path`, whose folder must exist already.
pub(super) async fn appeared(path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    inotify::add_watch(&events, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO)?;
    let events = readable(events)?;
    // Looked for only once the watch is there, so that no appearance is missed.
    while !path.try_exists()? {
        drained(&events).await?;
    }
    Ok(())
}

/// Waits for events and takes them all; what they say doesn't matter.
async fn drained(events: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let mut ready = events.readable().await?;
    match ready.try_io(|fd| rustix::io::read(fd.get_ref(), &mut buffer).map_err(Into::into)) {
        Ok(read) => read.map(drop),
        Err(_would_block) => Ok(()),
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
