// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Collects an initramfs and writes it.
use crate::fetch::{Cache, Kernel};
use std::path::{Path, PathBuf};
/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
#[error("todo")]
pub struct InitramfsError;
/// What goes into an initramfs.
#[derive(Clone, Debug)]
pub struct Initramfs {}
impl Initramfs {
    /// An initramfs whose /init is the file `init`.
    pub fn builder(_init: &Path) -> Self {
        todo!()
    }
    /// Adds busybox as /bin/busybox, and a link for each of its applets.
    pub fn busybox(self, _busybox: &Path) -> Self {
        todo!()
    }
    /// Adds the modules `names` of `kernel` and what they depend on, as
    /// `/lib/modules/load/NNN-name.ko`, listed in order in `/lib/modules/load.list`
    /// (one file name per line). What is built into the kernel is skipped.
    pub fn modules(self, _kernel: &Kernel, _names: &[&str]) -> Self {
        todo!()
    }
    /// Adds the host's file `host` as `guest` (absolute) with these permission bits.
    pub fn file(self, _guest: &str, _host: &Path, _mode: u32) -> Self {
        todo!()
    }
    /// Adds a file with these contents.
    pub fn contents(self, _guest: &str, _bytes: impl Into<Vec<u8>>, _mode: u32) -> Self {
        todo!()
    }
    /// Path of the archive (uncompressed newc), built unless the cache has one of the same inputs.
    pub fn build(&self, _cache: &Cache) -> Result<PathBuf, InitramfsError> {
        todo!()
    }
}
