// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads a mapping's bytes when the page may be lost.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;

use rustix::io::Errno;
use rustix::pipe::pipe;
use serde::{Deserialize, Serialize};

use super::content::difference;
use super::mapping::Mapping;
use crate::worker::{Fault, HandleTable, Op};

/// Copies a part of a mapping by write(2) to a pipe: the fault that would end the worker by SIGBUS
/// makes the system call fail instead.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peek {
    pub map: String,
    pub at: usize,
    /// The number of bytes; at most what a pipe holds.
    pub len: usize,
    pub seed: u64,
}

/// The content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peeked {
    /// The pattern.
    Pattern,
    /// Zeros.
    Zeros,
    /// No page: SIGBUS.
    Gone,
    /// Something else: the first byte that is not of the pattern.
    Other(String),
}

impl Op for Peek {
    const NAME: &'static str = "peek";
    type Yield = Peeked;

    fn run(self, handles: &mut HandleTable) -> Result<Peeked, Fault> {
        let failed = || "copying a mapping to a pipe";
        let map: &Mapping = handles.get(&self.map)?;
        let from = map.part(self.at, self.len)?;
        let (reader, writer) = pipe().map_err(Fault::of(failed()))?;
        // A slice of these bytes would promise that all pages are there, so there is none.
        // SAFETY: the kernel checks the address, and copies the bytes before the call returns.
        let copied = unsafe { libc::write(writer.as_raw_fd(), from.cast(), self.len) };
        let copied = match usize::try_from(copied) {
            Ok(count) => count,
            Err(_) => match Errno::from_io_error(&io::Error::last_os_error()) {
                Some(Errno::FAULT) => 0,
                error => return Err(Fault::of(failed())(error.unwrap_or(Errno::IO))),
            },
        };
        if copied < self.len {
            return Ok(Peeked::Gone);
        }
        let mut copy = vec![0; copied];
        File::from(reader)
            .read_exact(&mut copy)
            .map_err(Fault::of(failed()))?;
        if difference(None, 0, &copy).is_none() {
            return Ok(Peeked::Zeros);
        }
        let offset = map.offset() + self.at as u64;
        Ok(match difference(Some(self.seed), offset, &copy) {
            None => Peeked::Pattern,
            Some(other) => Peeked::Other(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Map, Open};

    #[test]
    fn zeros_and_a_page_beyond_the_end_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").to_str().unwrap().to_owned();
        std::fs::write(&path, vec![0; 4096]).unwrap();
        let mut handles = HandleTable::default();
        let open = Open {
            name: "f".to_owned(),
            path,
            direct: false,
        };
        open.run(&mut handles).unwrap();
        let map = Map {
            name: "m".to_owned(),
            file: "f".to_owned(),
            offset: 0,
            len: 8192,
            private: false,
        };
        map.run(&mut handles).unwrap();
        let mut peek = |at| {
            let peek = Peek {
                map: "m".to_owned(),
                at,
                len: 4096,
                seed: 1,
            };
            peek.run(&mut handles).unwrap()
        };
        assert_eq!((peek(0), peek(4096)), (Peeked::Zeros, Peeked::Gone));
    }
}
