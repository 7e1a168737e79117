// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Finds this project's other executables.

use std::{
    env,
    path::{Path, PathBuf},
};

/// An executable that has not been built.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not built; build it with: {build} (or set {variable} to its path)")]
pub struct MissingProgram {
    name: String,
    build: &'static str,
    variable: &'static str,
}

/// This project's executables.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `virtiofs-daxd`.
    pub daemon: PathBuf,
    /// `guest-agent`.
    pub agent: PathBuf,
}

impl Programs {
    /// Finds both in the build folder of the running executable, unless `VIRTIOFS_DAXD` or
    /// `GUEST_AGENT` names another path.
    ///
    /// # Errors
    ///
    /// [`MissingProgram`], which says how to build it.
    pub fn find() -> Result<Self, MissingProgram> {
        Ok(Self {
            daemon: Self::daemon()?,
            agent: Self::agent()?,
        })
    }

    /// `virtiofs-daxd`, built with the same profile as the running executable.
    ///
    /// # Errors
    ///
    /// [`MissingProgram`].
    pub fn daemon() -> Result<PathBuf, MissingProgram> {
        let build = "cargo build --release -p virtiofs-daxd";
        find("VIRTIOFS_DAXD", 2, "virtiofs-daxd", build)
    }

    /// `libqemu_guard.so`, built with the same profile as the running executable.
    ///
    /// # Errors
    ///
    /// [`MissingProgram`].
    pub fn guard() -> Result<PathBuf, MissingProgram> {
        let build = "cargo build --release -p qemu-guard";
        find("QEMU_GUARD", 2, "libqemu_guard.so", build)
    }

    /// `guest-agent`. It must be static, so it is always built for an explicit target.
    ///
    /// # Errors
    ///
    /// [`MissingProgram`].
    pub fn agent() -> Result<PathBuf, MissingProgram> {
        let build = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C target-feature=+crt-static' \
                     cargo build --release -p guest-agent --target x86_64-unknown-linux-gnu";
        let built = "x86_64-unknown-linux-gnu/release/guest-agent";
        find("GUEST_AGENT", 4, built, build)
    }
}

/// The path in the environment's `variable`, else the file `built` in one of the `levels` folders
/// above the running executable: a test's executable is in a folder below that of the programs.
fn find(
    variable: &'static str,
    levels: usize,
    built: &str,
    build: &'static str,
) -> Result<PathBuf, MissingProgram> {
    let named = env::var_os(variable).map(PathBuf::from);
    named
        .or_else(|| above(&env::current_exe().ok()?, levels, built))
        .ok_or_else(|| MissingProgram {
            name: built.to_owned(),
            build,
            variable,
        })
}

/// The file `name` in one of the `levels` folders above `path`.
fn above(path: &Path, levels: usize, name: &str) -> Option<PathBuf> {
    let folders = path.ancestors().skip(1).take(levels);
    folders
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_counts_and_the_levels_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let deps = dir.path().join("debug/deps");
        std::fs::create_dir_all(&deps).unwrap();
        let exe = deps.join("test");
        assert_eq!(above(&exe, 2, "prog"), None);
        std::fs::write(dir.path().join("prog"), "").unwrap();
        assert_eq!(above(&exe, 2, "prog"), None);
        assert_eq!(above(&exe, 3, "prog"), Some(dir.path().join("prog")));
        std::fs::write(dir.path().join("debug/prog"), "").unwrap();
        assert_eq!(above(&exe, 3, "prog"), Some(dir.path().join("debug/prog")));
    }

    #[test]
    fn what_is_missing_says_how_to_build_it() {
        let error = MissingProgram {
            name: "x".to_owned(),
            build: "cargo build -p x",
            variable: "X",
        };
        assert!(error.to_string().contains("cargo build -p x"));
    }
}
