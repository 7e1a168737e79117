// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The tree in a folder of the host, with its history of one commit.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use qemu_guest::vm::process::{RunDir, RunDirError};

use super::source::Shape;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// No folder.
    #[error(transparent)]
    Folder(#[from] RunDirError),
    /// A file can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// git is missing.
    #[error("git is missing: apt-get install git")]
    NoGit,
    /// git failed.
    #[error("git {args}: {said}")]
    Git {
        /// At what.
        args: String,
        /// What it said.
        said: String,
    },
}

/// The folder; it goes with this value.
#[derive(Debug)]
pub struct Repository {
    dir: RunDir,
    shape: Shape,
    bytes: u64,
}

impl Repository {
    /// Writes the files and commits them.
    ///
    /// # Errors
    ///
    /// If they can't be written, or there is no git.
    pub fn make(within: &Path, shape: Shape) -> Result<Self, RepositoryError> {
        let dir = RunDir::create_in(within)?;
        let tree = dir.join("tree");
        let mut bytes = 0;
        for source in shape.sources() {
            let path = tree.join(&source.path);
            let folder = path.parent().expect("it is below the tree");
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &source.text));
            written.map_err(|error| RepositoryError::Write {
                path: path.clone(),
                source: error,
            })?;
            bytes += source.text.len() as u64;
        }
        for args in [
            &["init", "--quiet"][..],
            &["-c", "core.compression=1", "add", "--all"],
            &["commit", "--quiet", "--message", "A tree"],
            &[
                "-c",
                "pack.window=0",
                "-c",
                "pack.compression=1",
                "repack",
                "-a",
                "-d",
                "--quiet",
            ],
        ] {
            git(&tree, args)?;
        }
        Ok(Self { dir, shape, bytes })
    }

    /// The tree's folder.
    pub fn path(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// A path beside the tree for an image of this name.
    pub(super) fn image(&self, name: &str) -> PathBuf {
        self.dir.join(&format!("{name}.img"))
    }

    /// What tree it is.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Bytes of all files, without their history.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Runs git without anybody's settings.
fn git(tree: &Path, args: &[&str]) -> Result<(), RepositoryError> {
    let person = [("NAME", "nobody"), ("EMAIL", "nobody@localhost")];
    let mut command = Command::new("git");
    command
        .args(args)
        .current_dir(tree)
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_SYSTEM", OsStr::new("/dev/null"));
    for (what, value) in person {
        command.env(format!("GIT_AUTHOR_{what}"), value);
        command.env(format!("GIT_COMMITTER_{what}"), value);
    }
    let failed = |said: String| RepositoryError::Git {
        args: args.join(" "),
        said,
    };
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(RepositoryError::NoGit),
        Err(error) => Err(failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_changed_after_the_commit() {
        let within = tempfile::tempdir().unwrap();
        let shape = Shape { files: 40, seed: 3 };
        let repository = Repository::make(within.path(), shape).unwrap();
        let status = Command::new("git")
            .args(["status", "--porcelain"])
            .current_dir(repository.path())
            .output();
        let status = status.unwrap();
        assert!(
            status.status.success() && status.stdout.is_empty(),
            "{status:?}"
        );
        drop(repository);
        assert_eq!(
            fs::read_dir(within.path()).unwrap().count(),
            0,
            "it goes with its owner"
        );
    }
}
