// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The logs of a guest, its QEMU and its daemon, kept after the guest's own folder is removed.

use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};

/// Logs, and the command lines that QEMU and the daemon were started with.
const KEPT: [&str; 2] = [".log", ".sh"];

/// The logs of one guest. The files are open, so the guest's folder may be removed before they are
/// copied. They are copied on drop, so that the last lines are included.
#[derive(Debug)]
pub struct Logs {
    files: Vec<(String, File)>,
    kept: Option<PathBuf>,
}

impl Logs {
    /// Opens the logs of a guest whose folder is `dir`.
    ///
    /// # Errors
    ///
    /// If they can't be opened.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if KEPT.iter().any(|end| name.ends_with(end)) {
                files.push((name.clone(), File::open(dir.join(name))?));
            }
        }
        Ok(Self { files, kept: None })
    }

    /// Marks the logs to be kept in a new folder in `shelf`, whose name begins with the kernel's.
    /// Returns that folder.
    ///
    /// # Errors
    ///
    /// If the folder can't be made.
    pub fn keep(&mut self, shelf: &Path, kernel: &str) -> io::Result<&Path> {
        let kept = match self.kept.take() {
            Some(kept) => kept,
            None => new_folder(shelf, kernel)?,
        };
        Ok(self.kept.insert(kept))
    }

    fn write(&mut self, folder: &Path) -> io::Result<()> {
        for (name, file) in &mut self.files {
            file.rewind()?;
            io::copy(file, &mut File::create(folder.join(name))?)?;
        }
        Ok(())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(folder) = self.kept.take()
            && let Err(error) = self.write(&folder)
        {
            log::warn!("{}: logs are missing: {error}", folder.display());
        }
    }
}

/// Makes a folder that neither this run nor an earlier one has made.
fn new_folder(shelf: &Path, kernel: &str) -> io::Result<PathBuf> {
    let plain = |c: char| match c {
        '+' | '.' => c,
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    };
    let kernel: String = kernel.chars().map(plain).collect();
    fs::create_dir_all(shelf)?;
    let mut number = 1;
    loop {
        let folder = shelf.join(format!("{kernel}-{number}"));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_last_words_are_kept_though_the_folder_is_gone() {
        let shelf = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut console = File::create(dir.path().join("console.log")).unwrap();
        File::create(dir.path().join("fs0.sock")).unwrap();
        let mut logs = Logs::open(dir.path()).unwrap();
        let kept = logs.keep(shelf.path(), "build:6.12+seed").unwrap();
        let kept = kept.to_owned();
        assert_eq!(kept, logs.keep(shelf.path(), "build:6.12+seed").unwrap());
        drop(dir);
        console.write_all(b"reboot: Power down").unwrap();
        drop(logs);
        assert!(kept.ends_with("build-6.12+seed-1"));
        let text = fs::read_to_string(kept.join("console.log")).unwrap();
        assert_eq!(text, "reboot: Power down");
        assert_eq!(kept.read_dir().unwrap().count(), 1);
    }

    #[test]
    fn no_run_writes_into_the_folder_of_another() {
        let shelf = tempfile::tempdir().unwrap();
        let first = new_folder(shelf.path(), "/boot/vmlinuz").unwrap();
        assert!(first.ends_with("-boot-vmlinuz-1"));
        let second = new_folder(shelf.path(), "/boot/vmlinuz").unwrap();
        assert!(second.ends_with("-boot-vmlinuz-2"));
    }
}
