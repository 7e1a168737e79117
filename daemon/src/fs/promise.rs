// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which files are promised to be mappable.
//!
//! Linux asks for the attributes first and takes `FUSE_ATTR_DAX` as a promise: once an inode uses
//! DAX, a SETUPMAPPING that fails is an I/O error for the application. So the question "could the
//! daemon map this file?" is answered before, once for each node, as cheaply as it can be:
//!
//! * the file type and the size come with the attributes;
//! * an `O_PATH` open tells the device, the mount and the immutable flag, and disturbs nobody on
//!   the host (no event, no permission asked);
//! * on the first file of each mounted device a view is opened and mapped. What that says holds
//!   for all of its files;
//! * where something may still refuse this process to write one of them, each is opened for
//!   writing: on network file systems and the like, or without CAP_DAC_OVERRIDE;
//! * so is a file with an execute permission, which only `--dax always` names: while the host runs
//!   it that fails (ETXTBSY), and it cannot be mapped writable then.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;

use parking_lot::Mutex;
use shared_window::{Access, ViewError, ViewSource};
use virtiofsd::filesystem::{Context, FileSystem};
use virtiofsd::fuse::Attr;
use vm_memory::mmap::MmapRegionError;
use vm_memory::{FileOffset, MmapRegion};

use super::device::{Mappable, MountedDevice, place};
use super::{NodeCache, NodeId, with_file};
use crate::backend::WithSources;
use crate::config::DaxPolicy;

/// Nodes whose answer is remembered. A forgotten one is asked for again.
const REMEMBERED_NODES: NonZeroUsize = NonZeroUsize::new(65536).unwrap();

/// The execute permissions in a file's mode.
const ANY_MAY_EXECUTE: u32 = 0o111;

/// Why no view of a file can be mapped here.
#[derive(Debug, thiserror::Error)]
enum ProofError {
    #[error("no view of a file can be opened")]
    Open(#[source] ViewError),
    #[error("a view of a file cannot be mapped")]
    Map(#[source] MmapRegionError),
}

/// The answers so far.
pub struct Promises<S> {
    policy: DaxPolicy,
    views: S,
    nodes: NodeCache<bool>,
    devices: Mutex<HashMap<MountedDevice, Mappable>>,
}

impl<S: ViewSource> Promises<S> {
    /// Answers by `policy`, with views from `views`.
    #[must_use]
    pub fn new(policy: DaxPolicy, views: S) -> Self {
        Self {
            policy,
            views,
            nodes: NodeCache::new(REMEMBERED_NODES),
            devices: Mutex::new(HashMap::new()),
        }
    }

    /// Whether the guest may use the window for `node`, whose attributes are `attr`.
    pub fn cover<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        attr: &Attr,
    ) -> bool {
        let regular = attr.mode & libc::S_IFMT == libc::S_IFREG;
        let executable = attr.mode & ANY_MAY_EXECUTE != 0;
        if !regular || !self.policy.names(attr.size, executable) {
            return false;
        }
        if let Some(answer) = self.nodes.get(node) {
            return answer;
        }
        let answer = self
            .examine(fs, context, node, executable)
            .unwrap_or_else(|error| {
                log::debug!("node {} is not offered for DAX: {error}", node.0);
                false
            });
        self.nodes.put(node, answer);
        answer
    }

    /// Takes the promise for `node` back: it turned out that the file cannot be mapped.
    pub fn revoke(&self, node: NodeId) {
        self.nodes.put(node, false);
    }

    /// The guest no longer holds `node`.
    pub fn forget(&self, node: NodeId) {
        self.nodes.forget(node);
    }

    /// The guest no longer holds any node.
    pub fn forget_all(&self) {
        self.nodes.clear();
    }

    fn examine<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        executable: bool,
    ) -> io::Result<bool> {
        let (device, frozen) = with_file(fs, context, node, libc::O_PATH, place)?;
        if frozen {
            return Ok(false);
        }
        let known = self.devices.lock().get(&device).copied();
        match known {
            Some(Mappable::Nothing) => Ok(false),
            Some(Mappable::Everything) if !executable => Ok(true),
            Some(Mappable::Everything | Mappable::WhatOpens) => {
                with_file(fs, context, node, libc::O_RDWR, |_| Ok(true))
            }
            None => self.try_device(fs, context, node, device),
        }
    }

    /// Opens and maps a view of the first file of `device`.
    fn try_device<F: FileSystem>(
        &self,
        fs: &F,
        context: Context,
        node: NodeId,
        device: MountedDevice,
    ) -> io::Result<bool> {
        let tried = with_file(fs, context, node, libc::O_RDWR, |file| {
            match self.prove(file) {
                Ok(()) => Mappable::like(file).map(Ok),
                Err(error) => Ok(Err(error)),
            }
        });
        let answer = match tried {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                log::warn!(
                    "files on device {}:{} are shared without DAX: {}",
                    device.major,
                    device.minor,
                    WithSources(&error)
                );
                Mappable::Nothing
            }
            Err(error) if error.raw_os_error() == Some(libc::EROFS) => Mappable::Nothing,
            // That says something about this file only.
            Err(error) => return Err(error),
        };
        self.devices.lock().insert(device, answer);
        Ok(answer != Mappable::Nothing)
    }

    fn prove(&self, file: BorrowedFd<'_>) -> Result<(), ProofError> {
        let view = self
            .views
            .open(file, Access::ReadWrite)
            .map_err(ProofError::Open)?;
        let page = shared_window::page_size() as usize;
        let view = FileOffset::new(File::from(view), 0);
        MmapRegion::<()>::from_file(view, page)
            .map(drop)
            .map_err(ProofError::Map)
    }
}

#[cfg(test)]
#[path = "promise_tests.rs"]
mod tests;
