// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where this project's other executables are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// What the guest's program is built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// An executable that has not been built.
#[derive(Debug, thiserror::Error)]
#[error("{name} is not built; build it with: {build} (or set {variable} to its path)")]
pub struct MissingProgram {
    name: String,
    build: String,
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
    /// Finds both in the build folder that the running executable comes from, unless
    /// `VIRTIOFS_DAXD` or `GUEST_AGENT` names another.
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
        // A test's executable is in a folder below that of the programs.
        named_by("VIRTIOFS_DAXD")
            .or_else(|| above(&env::current_exe().ok()?, 2, "virtiofs-daxd"))
            .ok_or_else(|| MissingProgram {
                name: "virtiofs-daxd".to_owned(),
                build: "cargo build --release -p virtiofs-daxd".to_owned(),
                variable: "VIRTIOFS_DAXD",
            })
    }

    /// `libqemu_guard.so`, built with the same profile as the running executable.
    ///
    /// # Errors
    ///
    /// [`MissingProgram`].
    pub fn guard() -> Result<PathBuf, MissingProgram> {
        named_by("QEMU_GUARD")
            .or_else(|| above(&env::current_exe().ok()?, 2, "libqemu_guard.so"))
            .ok_or_else(|| MissingProgram {
                name: "libqemu_guard.so".to_owned(),
                build: "cargo build --release -p qemu-guard".to_owned(),
                variable: "QEMU_GUARD",
            })
    }

    /// The static `guest-agent`.
    ///
    /// # Errors
    ///
    /// [`MissingProgram`].
    pub fn agent() -> Result<PathBuf, MissingProgram> {
        // What runs there must be static, so it is always built for an explicit target.
        let built = format!("{TARGET}/release/guest-agent");
        named_by("GUEST_AGENT")
            .or_else(|| above(&env::current_exe().ok()?, 4, &built))
            .ok_or_else(|| MissingProgram {
                name: "the static guest-agent".to_owned(),
                build: format!(
                    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS='-C \
                     target-feature=+crt-static' cargo build --release -p guest-agent --target \
                     {TARGET}"
                ),
                variable: "GUEST_AGENT",
            })
    }
}

fn named_by(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(PathBuf::from)
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
            build: "cargo build -p x".to_owned(),
            variable: "X",
        };
        assert!(error.to_string().contains("cargo build -p x"));
    }
}
