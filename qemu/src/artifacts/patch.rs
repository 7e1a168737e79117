// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Patches of a source that is built here, and the artifact name that follows from them.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::cache::CacheError;
use super::tool::{self, ToolError};

/// A change of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Its file's name, for messages.
    pub name: &'static str,
    /// The file: what it is for, then a unified diff.
    pub text: &'static str,
}

/// Why a source could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A patch does not fit the source.
    #[error("{name} does not apply")]
    DoesNotApply {
        /// The patch.
        name: String,
        /// The error of patch.
        #[source]
        source: ToolError,
    },
}

/// Applies patches to the source in `root`. Each must apply without fuzz. Writes their files
/// into `beside`.
pub(crate) fn apply(patches: &[Patch], root: &Path, beside: &Path) -> Result<(), PatchError> {
    for Patch { name, text } in patches {
        let file = beside.join(name);
        fs::write(&file, text).map_err(CacheError::io("writing", &file))?;
        apply_file(&file, root)?;
    }
    Ok(())
}

/// Applies the patch in `file` to the source in `root`, without fuzz.
pub(crate) fn apply_file(file: &Path, root: &Path) -> Result<(), PatchError> {
    let mut patch = tool::command("patch");
    patch
        .args([
            "-p1",
            "--batch",
            "--fuzz=0",
            "--no-backup-if-mismatch",
            "-i",
        ])
        .arg(file)
        .current_dir(root);
    tool::output(&mut patch).map_err(|source| PatchError::DoesNotApply {
        name: file.file_name().unwrap_or_default().display().to_string(),
        source,
    })?;
    Ok(())
}

/// The digest of all inputs, as it stands in an artifact's name.
pub(crate) fn digest<'a>(
    ingredients: impl IntoIterator<Item = &'a str>,
    patches: &[Patch],
) -> String {
    let mut hash = Sha256::new();
    let patches = patches.iter().flat_map(|patch| [patch.name, patch.text]);
    for part in ingredients.into_iter().chain(patches) {
        // The lengths mark where one part ends and the next begins.
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    format!("{:x}", hash.finalize())[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-old\n+new\n";

    #[test]
    fn a_patch_applies_to_its_own_source_only() {
        let folder = tempfile::tempdir().unwrap();
        let (root, file) = (folder.path().join("source"), "source/file");
        fs::create_dir(&root).unwrap();
        let patches = [Patch {
            name: "a.patch",
            text: DIFF,
        }];
        fs::write(folder.path().join(file), "old\n").unwrap();
        apply(&patches, &root, folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join(file)).unwrap(), b"new\n");
        fs::write(folder.path().join(file), "other\n").unwrap();
        let error = apply(&patches, &root, folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "a.patch does not apply");
    }

    #[test]
    fn one_parts_end_is_not_the_next_ones_beginning() {
        assert_ne!(digest(["ab", "c"], &[]), digest(["a", "bc"], &[]));
    }
}
