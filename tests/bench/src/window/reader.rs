// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Ways to read a range of a file. The bytes of each way are checked once, before the measurement.

use std::{fs::File, sync::Arc};

use virtiofs_driver::{
    Body, Client, FileOffset, FuseError, GuestBuffer, Handle, NodeId, Request, Window,
    WindowOffset, window::WindowError,
};

use super::copier::Mapped;
use crate::{files::RANGE, system::Running};

/// Bytes of one READ: Linux's default.
const READ: u32 = 128 << 10;

/// A way to read.
pub enum Reader {
    /// Loads through the window.
    Window(Guest, Window),
    /// FUSE_READ, with all READs of a range at once.
    Fuse(Guest, GuestBuffer),
    /// Loads through a mapping of the file itself.
    Copy(Arc<File>, Vec<Option<Mapped>>),
}

/// A guest with the file.
pub struct Guest {
    pub client: Client,
    pub node: NodeId,
    pub handle: Handle,
    pub running: Running,
}

/// Why a range can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The daemon answered an error.
    #[error("a request failed")]
    Fuse(#[from] FuseError),
    /// The window can't be read.
    #[error("the window can't be read")]
    Window(#[from] WindowError),
    /// The file can't be mapped here.
    #[error("the file can't be mapped")]
    Map(#[from] std::io::Error),
    /// The range was not set up.
    #[error("range {0} is not mapped")]
    NotMapped(u32),
    /// The range has wrong bytes.
    #[error("range {0} is not read as it is in the file")]
    Differs(u32),
    /// A READ is short.
    #[error("a READ in the middle of the file gave {0} bytes")]
    Short(u32),
}

impl Reader {
    /// Prepares a range for loads, if necessary.
    pub fn set_up(&mut self, range: u32) -> Result<(), ReadError> {
        match self {
            Self::Window(guest, _) => {
                let (from, at) = (FileOffset(offset(range)), WindowOffset(offset(range)));
                Ok(guest
                    .client
                    .setup_mapping(guest.node, from, RANGE, at, true)?)
            }
            Self::Fuse(..) => Ok(()),
            Self::Copy(file, mapped) => {
                mapped[range as usize] = Some(Mapped::new(file, range)?);
                Ok(())
            }
        }
    }

    /// Reverts [`Self::set_up`].
    pub fn remove(&mut self, range: u32) -> Result<(), ReadError> {
        match self {
            Self::Window(guest, _) => {
                let ranges = [(WindowOffset(offset(range)), RANGE)];
                guest.client.remove_mapping(guest.node, &ranges)?;
            }
            Self::Fuse(..) => {}
            Self::Copy(_, mapped) => mapped[range as usize] = None,
        }
        Ok(())
    }

    /// Reads a range that is set up. FUSE_READ leaves the bytes in guest memory; the other ways
    /// copy them to `into`.
    pub fn read(&mut self, range: u32, into: &mut [u8]) -> Result<(), ReadError> {
        match self {
            Self::Window(_, window) => {
                let at = WindowOffset(offset(range));
                // SAFETY: the range is mapped until `remove`, which is not called meanwhile. The
                // file keeps its length: this program made it, and no other process knows it.
                let bytes = unsafe { window.volatile_slice(at, RANGE as usize)? };
                bytes.copy_to(into);
            }
            Self::Fuse(guest, buffer) => guest.read(range, buffer)?,
            Self::Copy(_, mapped) => {
                let mapped = mapped[range as usize].as_ref();
                mapped
                    .ok_or(ReadError::NotMapped(range))?
                    .bytes()
                    .copy_to(into);
            }
        }
        Ok(())
    }

    /// Copies the bytes of the last read to `into`.
    pub fn result(&self, into: &mut [u8]) -> Result<(), ReadError> {
        if let Self::Fuse(_, buffer) = self {
            buffer.read(0, into).map_err(FuseError::from)?;
        }
        Ok(())
    }

    /// A reader that maps the file itself.
    pub fn copy(file: File, ranges: u32) -> Self {
        Self::Copy(Arc::new(file), (0..ranges).map(|_| None).collect())
    }

    /// The daemon, if there is one.
    pub fn running(&self) -> Option<&Running> {
        match self {
            Self::Window(guest, _) | Self::Fuse(guest, _) => Some(&guest.running),
            Self::Copy(..) => None,
        }
    }
}

impl Guest {
    fn read(&mut self, range: u32, buffer: &GuestBuffer) -> Result<(), ReadError> {
        let pipeline = self.client.pipeline();
        for part in 0..RANGE as u32 / READ {
            let at = part * READ;
            let into = buffer.part(at as usize..(at + READ) as usize);
            let from = FileOffset(offset(range) + u64::from(at));
            let body = Body::read(self.handle, from, into);
            pipeline.submit(&Request::new(self.node, body))?;
            pipeline.kick()?;
        }
        while pipeline.in_flight() > 0 {
            match pipeline.complete()?.result? {
                virtiofs_driver::Reply::Data(READ) => {}
                virtiofs_driver::Reply::Data(len) => return Err(ReadError::Short(len)),
                _ => return Err(ReadError::Short(0)),
            }
        }
        Ok(())
    }
}

fn offset(range: u32) -> u64 {
    u64::from(range) * RANGE
}
