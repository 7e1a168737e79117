// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads a folder's files while others change them.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::child::in_child;
use super::{How, hash};
use crate::worker::{Fault, HandleTable, Op};

/// Reads all regular files below a folder by read(2), and through a mapping, while others change
/// them. Skips files that vanish or lose pages meanwhile. Returns how many were read whole, in either
/// way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadTree {
    pub dir: PathBuf,
}

impl Op for ReadTree {
    const NAME: &'static str = "read-tree";
    type Yield = u64;

    fn run(self, _: &mut HandleTable) -> Result<u64, Fault> {
        let (mut folders, mut files) = (vec![self.dir], Vec::new());
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => folders.push(path),
                    Ok(metadata) if metadata.is_file() => files.push(path),
                    _ => {}
                }
            }
        }
        let read = files.iter().filter(|file| hash(file, How::Syscall).is_ok());
        Ok(read.count() as u64 + read_mapped(&files)?)
    }
}

/// Reads files through mappings. Returns how many were read whole.
fn read_mapped(mut files: &[PathBuf]) -> Result<u64, Fault> {
    let mut read = 0;
    while !files.is_empty() {
        let (mut told, mut tell) = io::pipe().map_err(Fault::of("making a pipe"))?;
        let ended = in_child(|| {
            files.iter().all(|file| {
                let whole = hash(file, How::Mmap).is_ok();
                tell.write_all(&[u8::from(whole)]).is_ok()
            })
        })?;
        drop(tell);
        let mut outcomes = Vec::new();
        told.read_to_end(&mut outcomes)
            .map_err(Fault::of("reading a pipe"))?;
        read += outcomes.iter().copied().map(u64::from).sum::<u64>();
        // A file that lost a page has ended the child, and has no outcome.
        let done = outcomes.len() + usize::from(ended.is_err());
        files = files.get(done..).unwrap_or_default();
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_can_be_read_is_read_in_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let read = || {
            let dir = dir.path().into();
            ReadTree { dir }.run(&mut HandleTable::default()).unwrap()
        };
        assert_eq!(read(), 0);
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(dir.path().join("folder/file"), "text").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        assert_eq!(read(), 2);
    }
}
