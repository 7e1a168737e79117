// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The tree in a folder of the host, with one commit.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use qemu_guest::vm::process::RunDir;

use super::source::Shape;

/// The folder; its drop removes the folder.
#[derive(Debug)]
pub struct Repository {
    dir: RunDir,
    bytes: u64,
}

impl Repository {
    /// Writes the files and commits them.
    ///
    /// # Errors
    ///
    /// If they can't be written, or there is no git.
    pub fn make(within: &Path, shape: Shape) -> Result<Self> {
        let dir = RunDir::create_in(within)?;
        let tree = dir.join("tree");
        let mut bytes = 0;
        for source in shape.sources() {
            let path = tree.join(&source.path);
            let folder = path.parent().expect("it is below the tree");
            let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &source.text));
            written.with_context(|| format!("can't write {}", path.display()))?;
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
        Ok(Self { dir, bytes })
    }

    /// The tree's folder.
    pub fn path(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// A path beside the tree for an image of this name.
    pub(super) fn image(&self, name: &str) -> PathBuf {
        self.dir.join(&format!("{name}.img"))
    }

    /// Bytes of all files, without their history.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Runs git without the settings of any user.
fn git(tree: &Path, args: &[&str]) -> Result<()> {
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
    let output = match command.output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("git is missing: apt-get install git")
        }
        output => output?,
    };
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "git {}: {}",
        args.join(" "),
        said.trim()
    );
    Ok(())
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
