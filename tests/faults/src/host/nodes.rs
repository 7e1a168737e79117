// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The layer's nodes for the directory below.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileHandle, FileType, INodeNo};
use parking_lot::Mutex;

/// The inode numbers of the layer's files, as `stat` shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// The numbers of the file system below.
    Own,
    /// One number for all files, as a union of file systems may show. Handles tell the files apart.
    Alike,
}

/// The number of all files, if all have one.
const ALIKE: u64 = 42;

/// Files by the inode number of the file system below, and open files.
#[derive(Debug)]
pub(super) struct Nodes {
    root: PathBuf,
    numbers: Numbers,
    paths: Mutex<HashMap<u64, PathBuf>>,
    open: Mutex<(u64, HashMap<u64, Arc<File>>)>,
}

impl Nodes {
    pub(super) fn new(root: PathBuf, numbers: Numbers) -> Self {
        Self {
            root,
            numbers,
            paths: Mutex::default(),
            open: Mutex::default(),
        }
    }

    pub(super) fn path(&self, node: INodeNo) -> io::Result<PathBuf> {
        if node == INodeNo::ROOT {
            return Ok(self.root.clone());
        }
        let path = self.paths.lock().get(&node.0).cloned();
        path.ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE))
    }

    pub(super) fn child(&self, parent: INodeNo, name: &OsStr) -> io::Result<PathBuf> {
        let parent = self.path(parent)?;
        // The kernel looks up this name if it has only the handle of a file.
        Ok(if name == "." {
            parent
        } else {
            parent.join(name)
        })
    }

    /// Registers a file.
    pub(super) fn find(&self, path: PathBuf) -> io::Result<FileAttr> {
        let metadata = fs::symlink_metadata(&path)?;
        self.paths.lock().insert(metadata.ino(), path);
        Ok(attributes(&metadata, metadata.ino()))
    }

    pub(super) fn attributes(
        &self,
        node: INodeNo,
        handle: Option<FileHandle>,
    ) -> io::Result<FileAttr> {
        let metadata = match handle {
            Some(handle) => self.file(handle)?.metadata()?,
            None => fs::symlink_metadata(self.path(node)?)?,
        };
        let number = match self.numbers {
            Numbers::Alike if node != INodeNo::ROOT => ALIKE,
            _ => node.0,
        };
        Ok(attributes(&metadata, number))
    }

    pub(super) fn opened(&self, file: File) -> FileHandle {
        let mut open = self.open.lock();
        open.0 += 1;
        let handle = open.0;
        open.1.insert(handle, Arc::new(file));
        FileHandle(handle)
    }

    pub(super) fn file(&self, handle: FileHandle) -> io::Result<Arc<File>> {
        let file = self.open.lock().1.get(&handle.0).cloned();
        file.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    pub(super) fn close(&self, handle: FileHandle) {
        self.open.lock().1.remove(&handle.0);
    }
}

fn attributes(metadata: &Metadata, number: u64) -> FileAttr {
    let time = |seconds: i64, nanoseconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::new(seconds as u64, nanoseconds as u32)
    };
    FileAttr {
        ino: INodeNo(number),
        size: metadata.size(),
        blocks: metadata.blocks(),
        atime: time(metadata.atime(), metadata.atime_nsec()),
        mtime: time(metadata.mtime(), metadata.mtime_nsec()),
        ctime: time(metadata.ctime(), metadata.ctime_nsec()),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind(metadata),
        perm: (metadata.mode() & 0o7777) as u16,
        nlink: metadata.nlink() as u32,
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: metadata.rdev() as u32,
        blksize: metadata.blksize() as u32,
        flags: 0,
    }
}

fn kind(metadata: &Metadata) -> FileType {
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => FileType::Directory,
        () if kind.is_symlink() => FileType::Symlink,
        () if kind.is_fifo() => FileType::NamedPipe,
        () => FileType::RegularFile,
    }
}
