// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A directory behind virtiofsd's real file system.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use virtiofsd::filesystem::{Context, Entry, FileSystem, FsOptions};
use virtiofsd::fuse::InHeader;
use virtiofsd::passthrough::{Config, InodeFileHandlesMode, PassthroughFs};

/// A shared directory and its file system.
pub(crate) struct Share {
    dir: TempDir,
    pub(crate) fs: Arc<PassthroughFs>,
}

impl Share {
    /// One that keeps a descriptor of each file.
    pub(crate) fn new() -> Self {
        Self::with(InodeFileHandlesMode::Never)
    }

    pub(crate) fn with(inode_file_handles: InodeFileHandlesMode) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = Config {
            root_dir: dir.path().to_str().expect("UTF-8").to_owned(),
            inode_file_handles,
            ..Config::default()
        };
        let fs = PassthroughFs::new(config).expect("a file system");
        Self {
            dir,
            fs: Arc::new(fs),
        }
    }

    /// Opens the root, which INIT does for a guest.
    pub(crate) fn init(&self) {
        self.fs.init(FsOptions::empty()).expect("INIT");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Creates a file of `content` with these permissions.
    pub(crate) fn put(&self, name: &str, content: &[u8], mode: u32) {
        let path = self.path(name);
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path);
        created.expect("a new file");
        fs::write(path, content).expect("content");
    }

    /// What LOOKUP answers.
    pub(crate) fn look_up(&self, name: &str) -> Entry {
        let name = std::ffi::CString::new(name).expect("a name");
        self.fs
            .lookup(Self::context(), super::fuse::ROOT, &name)
            .expect("the file exists")
    }

    /// Who asks: root.
    pub(crate) fn context() -> Context {
        Context::from(InHeader::default())
    }
}
