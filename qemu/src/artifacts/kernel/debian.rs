// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Debian's stock kernels, unpacked with their modules.
//!
//! Debian's meta package says which kernel is the current one of a suite. Up to 6.12 it is one
//! package; newer ones are split into several, which bear the same release in their names.

use std::fs;
use std::path::{Path, PathBuf};

use super::spec::DebianKernel;
use super::{Kernel, KernelError, header};
use crate::artifacts::apt::{AptError, Suite, Want};
use crate::artifacts::artifact;
use crate::artifacts::cache::{Cache, Lock};
use crate::artifacts::packages;

/// The package that depends on a suite's current kernel.
const META: &str = "linux-image-amd64";
const IMAGE_PREFIX: &str = "linux-image-";

/// The cache's copy of `which`, fetched when there is none.
pub(super) fn obtain(which: DebianKernel, cache: &Cache) -> Result<Kernel, KernelError> {
    let tree = artifact::obtain(cache, &name(which), |lock, tree| {
        fetch(which, cache, lock, tree)?;
        locate(which, tree).map(drop)
    })?;
    locate(which, &tree)
}

/// The cache's copy of `which`, if there is one.
pub(super) fn cached(which: DebianKernel, cache: &Cache) -> Result<Option<Kernel>, KernelError> {
    artifact::open(cache, &name(which))?
        .map(|tree| locate(which, &tree))
        .transpose()
}

fn name(which: DebianKernel) -> String {
    format!("kernel-{}", which.label().replace(':', "-"))
}

fn fetch(which: DebianKernel, cache: &Cache, lock: &Lock, tree: &Path) -> Result<(), KernelError> {
    let label = which.label();
    let failed = |source| KernelError::Packages { label, source };
    let suite = Suite::open(cache, lock, which.suite()).map_err(|error| failed(error.into()))?;
    let (release, packages) = current(&suite).map_err(|error| failed(error.into()))?;
    let what = format!("kernel {label} ({release})");
    packages::unpack(&suite, &what, Want::Exactly(&packages), tree).map_err(failed)
}

/// The suite's current kernel: its release, and the packages that hold its files.
fn current(suite: &Suite<'_>) -> Result<(String, Vec<String>), AptError> {
    let depends = suite.depends(META)?;
    let release = depends
        .iter()
        .find_map(|name| name.strip_prefix(IMAGE_PREFIX));
    let release = release.ok_or_else(|| suite.missing("linux-image-RELEASE-amd64"))?;
    let image = format!("{IMAGE_PREFIX}{release}");
    let depends = suite.depends(&image)?;
    Ok((release.to_owned(), parts(release, depends)))
}

/// The image's own package, or those of its dependencies that bear its release.
fn parts(release: &str, depends: Vec<String>) -> Vec<String> {
    let suffix = format!("-{release}");
    let split: Vec<String> = depends
        .into_iter()
        .filter(|name| name.ends_with(&suffix))
        .collect();
    if split.is_empty() {
        vec![format!("{IMAGE_PREFIX}{release}")]
    } else {
        split
    }
}

/// Finds image, modules and configuration in an unpacked tree.
fn locate(which: DebianKernel, tree: &Path) -> Result<Kernel, KernelError> {
    let label = which.label();
    let missing = |missing: &str| KernelError::Shape {
        label,
        missing: missing.to_owned(),
    };
    let modules = packages::first_of(tree, ["usr/lib/modules", "lib/modules"]);
    let modules = modules
        .as_deref()
        .and_then(only_entry)
        .ok_or_else(|| missing("modules"))?;
    let release = modules
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let image = [
        tree.join(format!("boot/vmlinuz-{release}")),
        modules.join("vmlinuz"),
    ];
    let image = image
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| missing("vmlinuz"))?;
    let config = [
        tree.join(format!("boot/config-{release}")),
        modules.join("config"),
    ];
    if header::release(&image)? != release {
        return Err(missing(&format!("image of {release}")));
    }
    Ok(Kernel {
        image,
        modules_dir: Some(modules),
        release,
        label: label.to_owned(),
        config: config.into_iter().find(|path| path.is_file()),
    })
}

fn only_entry(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder).ok()?;
    let first = entries.next()?.ok()?.path();
    entries.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_kernel_in_one_package_is_that_package() {
        let depends = names(&["kmod", "linux-base", "initramfs-tools"]);
        assert_eq!(
            parts("6.12.1+deb13-amd64", depends),
            ["linux-image-6.12.1+deb13-amd64"]
        );
    }

    #[test]
    fn a_split_kernel_is_its_parts() {
        let depends = names(&[
            "dracut",
            "linux-base-7.2.1+deb14-amd64",
            "linux-binary-7.2.1+deb14-amd64",
        ]);
        assert_eq!(parts("7.2.1+deb14-amd64", depends.clone()), depends[1..]);
    }
}
