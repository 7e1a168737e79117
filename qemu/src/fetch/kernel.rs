// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Kernels for guests.
use super::Cache;
use std::path::{Path, PathBuf};
use std::str::FromStr;
/// Why there is no kernel.
#[derive(Debug, thiserror::Error)]
#[error("todo")]
pub struct KernelError;
/// Which kernel a guest shall run: `debian:6.1`, `debian:6.12`, `debian:latest` or a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelSpec {
    /// Debian's stock 6.1.
    Debian6_1,
    /// Debian's stock 6.12.
    Debian6_12,
    /// The newest kernel that Debian has.
    DebianLatest,
    /// A bzImage of the caller's own.
    Image(PathBuf),
}
impl FromStr for KernelSpec {
    type Err = KernelError;
    fn from_str(_text: &str) -> Result<Self, KernelError> {
        todo!()
    }
}
/// A kernel image with what belongs to it.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The bzImage.
    pub image: PathBuf,
    /// The folder that holds this release's modules (`…/lib/modules/RELEASE`).
    pub modules_dir: Option<PathBuf>,
    /// The kernel's own name for itself (`uname -r`), read from the image.
    pub release: String,
    /// A short name for messages, such as `debian:6.12`.
    pub label: String,
    /// The kernel's configuration, where it came with one.
    pub config: Option<PathBuf>,
}
impl Kernel {
    /// The kernel that `spec` names; `modules` goes with [`KernelSpec::Image`] only.
    pub fn obtain(
        _spec: &KernelSpec,
        _modules: Option<&Path>,
        _cache: &Cache,
    ) -> Result<Self, KernelError> {
        todo!()
    }
    /// Like [`Kernel::obtain`], but never fetches: `None` if the cache has no good copy.
    pub fn cached(_spec: &KernelSpec, _cache: &Cache) -> Result<Option<Self>, KernelError> {
        todo!()
    }
}
