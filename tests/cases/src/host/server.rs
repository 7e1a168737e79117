// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The lab's server that delays its reply to a pin's transfer.

use std::fmt;
use std::time::Instant;

use anyhow::Result;

use super::{Disk, HeldShare, Request};

/// A delaying server, of either kind.
#[derive(Clone, Copy)]
pub enum Server<'a> {
    /// The disk.
    Disk(&'a Disk),
    /// The file that delays its answers.
    Share(&'a HeldShare),
}

impl Server<'_> {
    /// Waits until the guest has made a request at `offset`, which is delayed.
    ///
    /// # Errors
    ///
    /// If the request does not come.
    pub async fn held(self, offset: u64) -> Result<Request> {
        Ok(match self {
            Self::Disk(disk) => disk.held(offset).await?,
            Self::Share(share) => share.held(offset).await?,
        })
    }

    /// Answers the delayed request at `offset`. Returns the moment at which the reply was on its
    /// way.
    ///
    /// # Errors
    ///
    /// If there is no such request, or the client has disconnected.
    pub async fn release(self, offset: u64) -> Result<Instant> {
        Ok(match self {
            Self::Disk(disk) => disk.release(offset).await?,
            Self::Share(share) => share.release(offset)?,
        })
    }
}

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk(_) => "the disk",
            Self::Share(_) => "the delaying file",
        })
    }
}
