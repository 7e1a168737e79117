// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Making files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::{Files, fill};
use crate::worker::Fault;

/// Bytes that are written at once.
const STEP: u64 = 64 << 10;

/// Makes those of the files below `dir` that are not there, with stamps in all of their pages that
/// belong to the working set, and removes files of other sizes.
///
/// # Errors
///
/// If the file system refuses.
pub fn make(dir: &Path, files: Files) -> Result<(), Fault> {
    let told = |path: &Path| path.display().to_string();
    for entry in fs::read_dir(dir).map_err(Fault::of(told(dir)))? {
        let entry = entry.map_err(Fault::of(told(dir)))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("of-") && *name != files.folder() {
            fs::remove_dir_all(entry.path()).map_err(Fault::of(told(&entry.path())))?;
        }
    }
    let folder = dir.join(files.folder());
    fs::create_dir_all(&folder).map_err(Fault::of(told(&folder)))?;
    for file in 0..files.count() {
        let path = dir.join(files.path(file));
        one(&path, files, file).map_err(Fault::of(told(&path)))?;
    }
    Ok(())
}

/// Makes one, or what it lacks. Its size is that of a whole file, whatever part is in use.
fn one(path: &Path, files: Files, number: u64) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(path)?;
    let there = file.metadata()?.blocks_in_bytes();
    let mut block = vec![0; STEP as usize];
    if there < files.part(number) {
        // What is there already is written again: a part of it may be a hole.
        file.set_len(0)?;
        for at in (0..files.part(number)).step_by(STEP as usize) {
            fill(&mut block, files, number, at, 0);
            file.write_all(&block)?;
        }
    }
    file.set_len(files.size)
}

trait Blocks {
    fn blocks_in_bytes(&self) -> u64;
}

impl Blocks for fs::Metadata {
    fn blocks_in_bytes(&self) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(self) * 512
    }
}
