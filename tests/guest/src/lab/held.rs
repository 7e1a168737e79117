// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A mapping in the guest under the host's control.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use guest_agent::access::{Fsync, Hold, LoadBytes, Populate, StoreBytes};
use guest_agent::worker::Op;
use qemu_guest::vm::Worker;

use super::Lab;
use super::guest::COMMAND_TIME_OUT;

/// What the worker calls its mapping.
const MAP: &str = "map";

/// A mapping of a whole file, which a worker in the guest holds, loads from and stores to.
pub struct Held {
    worker: Worker,
    path: PathBuf,
    write: bool,
}

impl Held {
    /// Maps the file `name` of the first share and holds it.
    pub async fn new(lab: &Lab<'_>, name: &str, write: bool) -> Result<Self> {
        Self::at(lab, lab.first().in_guest(name).into(), write).await
    }

    /// Maps the file `name` of the share `tag` and holds it.
    pub async fn of(lab: &Lab<'_>, tag: &str, name: &str, write: bool) -> Result<Self> {
        Self::at(lab, lab.share(tag).in_guest(name).into(), write).await
    }

    async fn at(lab: &Lab<'_>, path: PathBuf, write: bool) -> Result<Self> {
        let worker = Worker::start(lab.agent(), "mapping's worker").await?;
        let mut held = Self {
            worker,
            path,
            write,
        };
        let hold = Hold {
            name: MAP.to_owned(),
            path: held.path.clone(),
            write,
        };
        held.ask(hold).await?;
        Ok(held)
    }

    async fn ask<O: Op>(&mut self, op: O) -> Result<O::Yield> {
        Ok(self.worker.ask_within(COMMAND_TIME_OUT, op).await?)
    }

    /// The bytes at `offset`.
    pub async fn read(&mut self, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.ask(loading(offset, len)).await
    }

    /// Has the worker load the bytes at `offset`, without waiting for an answer.
    pub async fn begin_to_read(&mut self, offset: u64, len: usize) -> Result<()> {
        let _never_answered = self.worker.begin(loading(offset, len)).await?;
        Ok(())
    }

    /// Loads the bytes at `offset`, and fails unless they are `expected`.
    pub async fn expect(&mut self, offset: u64, expected: &[u8]) -> Result<()> {
        let found = self.read(offset, expected.len()).await?;
        ensure!(
            found == expected,
            "offset {offset} is {found:x?} and not {expected:x?}"
        );
        Ok(())
    }

    /// Stores bytes at `offset`.
    pub async fn store(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.ask(StoreBytes {
            map: MAP.to_owned(),
            at: offset as usize,
            bytes: bytes.to_vec(),
        })
        .await
    }

    /// Enters pages into the guest's page table without an access to their bytes.
    pub async fn populate(&mut self, offset: u64, len: usize) -> Result<()> {
        self.ask(Populate {
            map: MAP.to_owned(),
            at: offset as usize,
            len,
        })
        .await
    }

    /// Calls fsync(2) through a new descriptor of the file; true if it succeeded.
    pub async fn fsync(&mut self) -> Result<bool> {
        let (path, write) = (self.path.clone(), self.write);
        self.ask(Fsync { path, write }).await
    }

    /// Ends the worker, and with it the mapping.
    pub async fn quit(self) -> Result<()> {
        Ok(self.worker.end().await?)
    }
}

fn loading(offset: u64, len: usize) -> LoadBytes {
    LoadBytes {
        map: MAP.to_owned(),
        at: offset as usize,
        len,
    }
}
