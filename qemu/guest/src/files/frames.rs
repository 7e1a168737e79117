// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The memory frame of a file's page: for a DAX file its block, or its place in the window.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

use rustix::param::page_size;
use serde::{Deserialize, Serialize};

use super::mapping::{MapKind, Mapping};
use super::opened::kept_or_open;
use crate::worker::{Fault, HandleTable, Op};

/// A page frame number, the kernel's number for a page of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame(u64);

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "page frame {:#x}", self.0)
    }
}

/// Returns the frame of a mapped page; `None` if the kernel was built without /proc/PID/pagemap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FrameOf {
    pub map: String,
    pub at: usize,
}

impl Op for FrameOf {
    const NAME: &'static str = "frame-of";
    type Yield = Option<Frame>;

    fn run(self, handles: &mut HandleTable) -> Result<Option<Frame>, Fault> {
        let map: &Mapping = handles.get(&self.map)?;
        let page = map.part(self.at, 1)?;
        Ok(match pagemap()? {
            Some(pagemap) => frame(&pagemap, page)?,
            None => None,
        })
    }
}

/// Looks for a frame in a part of a file; returns its offset in the file in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindFrame {
    pub path: String,
    /// The first offset, in bytes: a multiple of the page size.
    pub offset: u64,
    /// The length, cut at the file's end.
    pub len: u64,
    pub frame: Frame,
}

impl Op for FindFrame {
    const NAME: &'static str = "find-frame";
    type Yield = Option<u64>;

    fn run(self, handles: &mut HandleTable) -> Result<Option<u64>, Fault> {
        let file = kept_or_open(handles, &self.path)?;
        let size = file.metadata().map_err(Fault::of("asking for a size"))?;
        let len = size.len().saturating_sub(self.offset).min(self.len);
        let Some(pagemap) = pagemap()?.filter(|_| len > 0) else {
            return Ok(None);
        };
        let len = usize::try_from(len).expect("the lab's files fit into memory");
        let map = Mapping::new(&file, self.offset, len, MapKind::Shared)?;
        for at in (0..len).step_by(page_size()) {
            map.load(at, 1)?;
            if frame(&pagemap, map.part(at, 1)?)? == Some(self.frame) {
                return Ok(Some(self.offset + at as u64));
            }
        }
        Ok(None)
    }
}

/// This process's table of pages, if the kernel has one.
fn pagemap() -> Result<Option<File>, Fault> {
    match File::open("/proc/self/pagemap") {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::of("opening /proc/self/pagemap")(error)),
    }
}

/// The frame at an address, if a page is there (Linux' Documentation/admin-guide/mm/pagemap.rst).
fn frame(pagemap: &File, address: *const u8) -> Result<Option<Frame>, Fault> {
    const PRESENT: u64 = 1 << 63;
    const FRAME: u64 = (1 << 55) - 1;
    let mut entry = [0; size_of::<u64>()];
    let at = (address.addr() / page_size() * entry.len()) as u64;
    let read: io::Result<()> = pagemap.read_exact_at(&mut entry, at);
    read.map_err(Fault::of("reading /proc/self/pagemap"))?;
    let entry = u64::from_ne_bytes(entry);
    Ok((entry & PRESENT != 0).then_some(Frame(entry & FRAME)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Map, Open};

    /// Needs the right to see frames; without it all of them are 0.
    #[test]
    fn a_page_is_found_in_its_file_and_in_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut handles = HandleTable::default();
        let [one, other] = ["one", "other"].map(|name| {
            let path = dir.path().join(name).to_str().unwrap().to_owned();
            std::fs::write(&path, vec![1; 4 * page_size()]).unwrap();
            path
        });
        let open = Open {
            name: "f".to_owned(),
            path: one.clone(),
            direct: false,
        };
        open.run(&mut handles).unwrap();
        let map = Map {
            name: "m".to_owned(),
            file: "f".to_owned(),
            offset: 0,
            len: 4 * page_size(),
            private: false,
        };
        map.run(&mut handles).unwrap();
        let at = 2 * page_size();
        handles.get::<Mapping>("m").unwrap().load(at, 1).unwrap();
        let map = "m".to_owned();
        let Some(frame) = FrameOf { map, at }.run(&mut handles).unwrap() else {
            return;
        };
        if frame == Frame(0) {
            return;
        }
        let mut find = |path: &str, offset| {
            let find = FindFrame {
                path: path.to_owned(),
                offset,
                len: u64::MAX - offset,
                frame,
            };
            find.run(&mut handles).unwrap()
        };
        assert_eq!(find(&one, 0), Some(at as u64));
        assert_eq!(find(&one, at as u64 + page_size() as u64), None);
        assert_eq!(find(&other, 0), None);
    }
}
