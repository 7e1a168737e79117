// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The content of files.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use crate::pattern::{self, Seed};
use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// How many bytes are read or written at once.
pub(super) const CHUNK: usize = 1 << 20;

/// Makes a file with a pattern, on stable storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Create {
    /// The file's path. An existing file is replaced.
    pub path: String,
    pub len: u64,
    pub seed: u64,
}

impl Op for Create {
    const NAME: &'static str = "create";
    type Yield = ();

    fn run(self, _: &mut HandleTable) -> Result<(), Fault> {
        let failed = || format!("making {} of {} bytes", self.path, self.len);
        let file = File::create(&self.path).map_err(Fault::of(failed()))?;
        let mut buffer = vec![0; CHUNK];
        for (at, count) in chunks(0, self.len) {
            pattern::fill(Seed(self.seed), at, &mut buffer[..count]);
            file.write_all_at(&buffer[..count], at)
                .map_err(Fault::of(failed()))?;
        }
        file.sync_all().map_err(Fault::of(failed()))
    }
}

/// Compares a part of a file, read by system calls, with a pattern, or with zeros. Returns the
/// first difference in words; a file that ends too soon is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compare {
    pub path: String,
    pub offset: u64,
    pub len: u64,
    /// The seed of the pattern; none means zeros.
    pub seed: Option<u64>,
    /// The offset in the pattern.
    pub pattern_at: u64,
}

impl Compare {
    /// A part of a file that has the pattern of the same part, or zeros.
    pub fn new(path: &str, offset: u64, len: u64, seed: Option<u64>) -> Self {
        Self {
            path: path.to_owned(),
            offset,
            len,
            seed,
            pattern_at: offset,
        }
    }
}

impl Op for Compare {
    const NAME: &'static str = "compare";
    type Yield = Option<String>;

    fn run(self, _: &mut HandleTable) -> Result<Option<String>, Fault> {
        let failed = || format!("reading {}", self.path);
        let file = File::open(&self.path).map_err(Fault::of(failed()))?;
        let mut buffer = vec![0; CHUNK];
        for (at, count) in chunks(self.offset, self.len) {
            let bytes = &mut buffer[..count];
            let read = read_full(&file, at, bytes).map_err(Fault::of(failed()))?;
            if read < count {
                return Ok(Some(format!("it ends at {:#x}", at + read as u64)));
            }
            let pattern_at = self.pattern_at + (at - self.offset);
            if let Some(wrong) = difference(self.seed, pattern_at, bytes) {
                return Ok(Some(format!("at {at:#x} of the file, pattern {wrong}")));
            }
        }
        Ok(None)
    }
}

/// The first difference of `bytes`, which are at `offset` of a file, from a pattern or from zeros.
pub fn difference(seed: Option<u64>, offset: u64, bytes: &[u8]) -> Option<String> {
    match seed {
        Some(seed) => {
            let checked = pattern::check(Seed(seed), offset, bytes);
            checked.err().map(|wrong| wrong.to_string())
        }
        None => {
            let wrong = bytes.iter().position(|&byte| byte != 0)?;
            let at = offset + wrong as u64;
            Some(format!(
                "offset {at:#x}: expected 0x00, found {:#04x}",
                bytes[wrong]
            ))
        }
    }
}

/// Reads a part of a file by one pread(2), for its effects in the kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadAt {
    pub path: String,
    pub offset: u64,
    pub len: usize,
}

impl Op for ReadAt {
    const NAME: &'static str = "read-at";
    type Yield = usize;

    fn run(self, _: &mut HandleTable) -> Result<usize, Fault> {
        let failed = || format!("reading {} at {:#x}", self.path, self.offset);
        let file = File::open(&self.path).map_err(Fault::of(failed()))?;
        let mut buffer = vec![0; self.len];
        file.read_at(&mut buffer, self.offset)
            .map_err(Fault::of(failed()))
    }
}

/// Reads a part of a kept file by one pread(2). Gives the number of bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadKept {
    pub file: String,
    pub offset: u64,
    pub len: usize,
}

impl Op for ReadKept {
    const NAME: &'static str = "read-kept";
    type Yield = usize;

    fn run(self, handles: &mut HandleTable) -> Result<usize, Fault> {
        let file: &File = handles.get(&self.file)?;
        let mut buffer = vec![0; self.len];
        file.read_at(&mut buffer, self.offset)
            .map_err(Fault::of(format!("reading at {:#x}", self.offset)))
    }
}

/// Offsets and lengths of the pieces of a range.
pub(super) fn chunks(offset: u64, len: u64) -> impl Iterator<Item = (u64, usize)> {
    let end = offset + len;
    (offset..end)
        .step_by(CHUNK)
        .map(move |at| (at, (end - at).min(CHUNK as u64) as usize))
}

fn read_full(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => break,
            count => done += count,
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb<V: Op>(verb: V) -> Result<V::Yield, Fault> {
        verb.run(&mut HandleTable::default())
    }

    #[test]
    fn a_changed_byte_a_short_file_and_a_wrong_seed_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f").to_str().unwrap().to_owned();
        let len = CHUNK as u64 + 100;
        let create = Create {
            path: path.clone(),
            len,
            seed: 1,
        };
        verb(create).unwrap();
        let compare = |len, seed| {
            let path = path.clone();
            verb(Compare {
                path,
                offset: 0,
                len,
                seed,
                pattern_at: 0,
            })
            .unwrap()
        };
        assert_eq!(compare(len, Some(1)), None);
        assert!(compare(len, Some(2)).is_some());
        assert!(compare(len, None).is_some());
        assert!(compare(len + 1, Some(1)).unwrap().contains("ends"));
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[0], CHUNK as u64 + 5).unwrap();
        assert!(compare(len, Some(1)).unwrap().contains("0x100005"));
    }
}
