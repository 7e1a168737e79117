// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A kernel of the caller's own: an image, and perhaps a folder of modules.

use std::path::{Path, PathBuf};

use super::{Kernel, KernelError, header};

/// The kernel whose image is at `path`.
pub(super) fn kernel(path: &Path, modules: Option<&Path>) -> Result<Kernel, KernelError> {
    let image = std::path::absolute(path);
    let image = image.map_err(|source| KernelError::Read {
        path: path.to_owned(),
        source,
    })?;
    let release = header::release(&image)?;
    let modules_dir = modules
        .map(|folder| find_modules(folder, &release))
        .transpose()?;
    Ok(Kernel {
        label: image.display().to_string(),
        image,
        modules_dir,
        release,
        config: None,
    })
}

/// Accepts the folder of the release itself, and any of the folders it is usually found in.
fn find_modules(folder: &Path, release: &str) -> Result<PathBuf, KernelError> {
    let below =
        ["", "lib/modules", "usr/lib/modules"].map(|middle| folder.join(middle).join(release));
    let itself = (folder.file_name() == Some(release.as_ref())).then(|| folder.to_owned());
    itself
        .into_iter()
        .chain(below)
        .find(|path| path.join("modules.order").is_file())
        .ok_or_else(|| KernelError::NoModules {
            folder: folder.to_owned(),
            release: release.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn modules_are_found_in_each_usual_place_but_only_of_this_release() {
        let root = TempDir::new().unwrap();
        let place = root.path().join("lib/modules/6.1.0-x");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("modules.order"), "").unwrap();
        for folder in [root.path(), &root.path().join("lib/modules"), &place] {
            assert_eq!(find_modules(folder, "6.1.0-x").unwrap(), place);
        }
        assert!(matches!(
            find_modules(root.path(), "6.1.0-y"),
            Err(KernelError::NoModules { .. })
        ));
        assert!(matches!(
            find_modules(&place, "6.1.0-y"),
            Err(KernelError::NoModules { .. })
        ));
    }
}
