// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A QEMU with a window for virtio-fs.
use super::Cache;
use std::path::{Path, PathBuf};
use std::process::Command;
/// Why there is no usable QEMU.
#[derive(Debug, thiserror::Error)]
#[error("todo")]
pub struct QemuError;
/// A QEMU version, ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QemuVersion {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Patch level.
    pub micro: u32,
}
impl std::fmt::Display for QemuVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}
/// Where a QEMU came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The path that the caller gave.
    Given(PathBuf),
    /// Found on this machine's PATH.
    Machine(PathBuf),
    /// A private prefix in the cache.
    Cache(PathBuf),
}
/// A QEMU that has the device which carries the window.
#[derive(Clone, Debug)]
pub struct Qemu {}
impl Qemu {
    /// The QEMU at `explicit`; else this machine's own if it is new enough; else the cache's,
    /// fetched when it has none.
    pub fn obtain(_explicit: Option<&Path>, _cache: &Cache) -> Result<Self, QemuError> {
        todo!()
    }
    /// Like [`Qemu::obtain`], but never fetches: `None` if neither machine nor cache has one.
    pub fn find(_explicit: Option<&Path>, _cache: &Cache) -> Result<Option<Self>, QemuError> {
        todo!()
    }
    /// A command that starts this QEMU; the caller adds arguments.
    pub fn command(&self) -> Command {
        todo!()
    }
    /// The same as words, for printing: program and leading arguments.
    pub fn argv(&self) -> &[std::ffi::OsString] {
        todo!()
    }
    /// Its version.
    pub fn version(&self) -> QemuVersion {
        todo!()
    }
    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        todo!()
    }
}
