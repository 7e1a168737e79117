// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A kernel of the caller's own that has to be built: a configured source tree.
//!
//! The tree belongs to the caller: it is built with the caller's environment, compiles what changed
//! since the last build, and stays.

use std::fs;
use std::path::Path;

use super::build::{BuildError, configure, options_of_any_version};
use super::{Kernel, KernelError, make, own};
use crate::artifacts::Cache;
use crate::artifacts::cache::CacheError;

/// The kernel that `make bzImage` makes in `tree`.
pub(super) fn obtain(
    tree: &Path,
    modules: Option<&Path>,
    cache: &Cache,
) -> Result<Kernel, KernelError> {
    check(tree)?;
    let label = tree.display().to_string();
    let made = make::MAKE.run(&mut make::command(tree), cache, &label, None);
    made.map_err(|error| KernelError::building(&label)(BuildError::from(error)))?;
    kernel(tree, modules)
}

/// The lab's configuration of a tree, beside the caller's own. Linux's .gitignore has such names.
const CONFIG: &str = ".config.daxlab";
/// What that configuration is made of.
const OPTIONS: &str = ".config.daxlab-options";

/// The kernel that `make bzImage` makes in `tree` with the lab's configuration. The caller's `.config`
/// stays as it is.
pub(super) fn obtain_configured(tree: &Path, cache: &Cache) -> Result<Kernel, KernelError> {
    let label = tree.display().to_string();
    if !tree.join("Kconfig").is_file() {
        return Err(KernelError::NoTree(tree.to_owned()));
    }
    let made = || -> Result<(), BuildError> {
        let fragment = tree.join(OPTIONS);
        fs::write(&fragment, options_of_any_version())
            .map_err(CacheError::io("writing", &fragment))?;
        configure(tree, Path::new(OPTIONS), CONFIG)?;
        let mut make = make::command(tree);
        make.env("KCONFIG_CONFIG", CONFIG);
        Ok(make::MAKE.run(&mut make, cache, &label, None)?)
    };
    made().map_err(KernelError::building(&label))?;
    let config = Some(tree.join(CONFIG));
    Ok(Kernel {
        config,
        ..own::kernel(&tree.join(make::IMAGE), None)?
    })
}

/// The kernel that was made in `tree` the last time, if there is one.
pub(super) fn made(tree: &Path) -> Result<Option<Kernel>, KernelError> {
    check(tree)?;
    let image = tree.join(make::IMAGE);
    image.is_file().then(|| kernel(tree, None)).transpose()
}

fn check(tree: &Path) -> Result<(), KernelError> {
    if tree.join(".config").is_file() {
        Ok(())
    } else {
        Err(KernelError::NotConfigured(tree.to_owned()))
    }
}

fn kernel(tree: &Path, modules: Option<&Path>) -> Result<Kernel, KernelError> {
    let kernel = own::kernel(&tree.join(make::IMAGE), modules)?;
    let config = kernel
        .image
        .ancestors()
        .nth(make::IMAGE.split('/').count())
        .map(|root| root.join(".config"));
    Ok(Kernel { config, ..kernel })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::artifacts::Progress;

    /// Makes what the header of a bzImage needs.
    const MAKEFILE: &str = "\
bzImage:
\t@mkdir -p arch/x86/boot
\t@head -c 1024 /dev/zero >arch/x86/boot/bzImage
\t@printf HdrS | dd of=arch/x86/boot/bzImage bs=1 seek=514 conv=notrunc status=none
\t@printf '\\000\\001' | dd of=arch/x86/boot/bzImage bs=1 seek=526 conv=notrunc status=none
\t@printf '6.12.1-mine x' | dd of=arch/x86/boot/bzImage bs=1 seek=768 conv=notrunc status=none
";

    #[test]
    fn a_configured_tree_is_made_and_read() {
        let cache = TempDir::new().unwrap();
        let cache = Cache::at(cache.path(), Progress::silent()).unwrap();
        let tree = TempDir::new().unwrap();
        let error = obtain(tree.path(), None, &cache).unwrap_err();
        assert!(matches!(error, KernelError::NotConfigured(_)), "{error}");

        fs::write(tree.path().join(".config"), "").unwrap();
        fs::write(tree.path().join("Makefile"), MAKEFILE).unwrap();
        assert!(made(tree.path()).unwrap().is_none());
        let kernel = obtain(tree.path(), None, &cache).unwrap();
        assert_eq!(kernel.release, "6.12.1-mine");
        assert_eq!(kernel.config, Some(tree.path().join(".config")));
        assert!(made(tree.path()).unwrap().is_some());
    }
}
