// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Waiting for processes that are not our children.

use std::io::{self, PipeReader, PipeWriter};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long forked processes may outlive the one that forked them: they notice its end at once.
const FAMILY_DEADLINE: Duration = Duration::from_secs(5);

/// A process and all that it forks. Each holds the write end of a pipe as its standard output (and
/// writes nothing there); once the last of them is gone, the pipe is closed.
#[derive(Debug)]
pub(super) struct Family {
    pipe: PipeReader,
}

impl Family {
    /// A family without a member, and what makes a process one: its standard output.
    pub(super) fn new() -> io::Result<(Self, PipeWriter)> {
        let (pipe, member) = io::pipe()?;
        Ok((Self { pipe }, member))
    }

    /// Waits until no member is left. To be called when its first member has ended, and so soon
    /// over that blocking does no harm.
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
