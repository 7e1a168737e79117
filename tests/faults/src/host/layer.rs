// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A mounted layer, and the behaviour of its operations.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use fuser::{BackgroundSession, Config, Errno, SessionACL};
use parking_lot::Mutex;
use rustix::mount::{UnmountFlags, unmount};
use tempfile::TempDir;
use virtiofs_driver::window::Gate;

use super::file_system::Faulty;
use super::nodes::{Nodes, Numbers};

/// An operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// LOOKUP.
    Lookup,
    /// GETATTR.
    Getattr,
    /// SETATTR.
    Setattr,
    /// OPEN.
    Open,
    /// CREATE.
    Create,
    /// READ.
    Read,
    /// WRITE, also from the page cache.
    Write,
    /// FLUSH.
    Flush,
    /// FSYNC.
    Fsync,
    /// FALLOCATE.
    Fallocate,
    /// UNLINK.
    Unlink,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 11] = [
        Self::Lookup,
        Self::Getattr,
        Self::Setattr,
        Self::Open,
        Self::Create,
        Self::Read,
        Self::Write,
        Self::Flush,
        Self::Fsync,
        Self::Fallocate,
        Self::Unlink,
    ];
}

/// The behaviour of one operation.
#[derive(Debug, Clone, Default)]
pub enum Behaviour {
    /// Works normally.
    #[default]
    Good,
    /// Fails with this errno.
    Fail(i32),
    /// Works after this delay.
    Slow(Duration),
    /// Works after the gate was opened.
    Hold(Gate),
}

/// The behaviour of each operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Switches(Arc<Mutex<HashMap<Operation, Behaviour>>>);

impl Switches {
    pub(super) fn set(&self, operation: Operation, behaviour: Behaviour) {
        self.0.lock().insert(operation, behaviour);
    }

    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Applies the behaviour at the beginning of an operation.
    pub(super) fn meet(&self, operation: Operation) -> Result<(), Errno> {
        let behaviour = self.0.lock().get(&operation).cloned();
        match behaviour.unwrap_or_default() {
            Behaviour::Good => {}
            Behaviour::Fail(errno) => return Err(Errno::from_i32(errno)),
            Behaviour::Slow(time) => thread::sleep(time),
            Behaviour::Hold(gate) => gate.pass(None),
        }
        Ok(())
    }
}

/// The number of operations that can be held before other operations have to wait.
const THREADS: usize = 6;

/// A FUSE file system over a new directory. Its drop unmounts it.
#[derive(Debug)]
pub struct Layer {
    folder: TempDir,
    switches: Switches,
    session: Option<BackgroundSession>,
}

impl Layer {
    /// Mounts a layer without failures.
    pub fn mount() -> Result<Self> {
        Self::mount_with(Numbers::Own)
    }

    /// Mounts a layer whose files all have the same inode number.
    pub fn mount_alike() -> Result<Self> {
        Self::mount_with(Numbers::Alike)
    }

    fn mount_with(numbers: Numbers) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (below, above) = (folder.path().join("below"), folder.path().join("share"));
        fs::create_dir(&below)?;
        fs::create_dir(&above)?;
        let switches = Switches::default();
        let faulty = Faulty {
            nodes: Nodes::new(below, numbers),
            switches: switches.clone(),
        };
        let mut config = Config::default();
        config.n_threads = Some(THREADS);
        config.acl = SessionACL::All;
        let session = fuser::spawn_mount(faulty, &above, &config);
        Ok(Self {
            switches,
            session: Some(session.context("mount the layer (/dev/fuse has to be there)")?),
            folder,
        })
    }

    /// The mount point.
    pub fn share(&self) -> PathBuf {
        self.folder.path().join("share")
    }

    /// The folder that holds the layer's files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets the behaviour of an operation from now on.
    pub fn set(&self, operation: Operation, behaviour: Behaviour) {
        self.switches.set(operation, behaviour);
    }

    /// Makes all operations work from now on.
    pub fn clear(&self) {
        self.switches.clear();
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        self.clear();
        // Detached, so that a process that still uses the mount does not block this.
        let _ = unmount(self.share(), UnmountFlags::DETACH);
        drop(self.session.take());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Behaviour, Layer, Operation};
    use crate::checks::gone;

    #[test]
    fn it_passes_on_fails_and_goes() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIP: a mount needs root");
            return;
        }
        let layer = Layer::mount().expect("a layer");
        let file = layer.share().join("file");
        fs::write(&file, "content").expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"content");
        for operation in [Operation::Open, Operation::Read, Operation::Getattr] {
            layer.set(operation, Behaviour::Fail(libc::ESTALE));
            let error = fs::read(&file).and_then(|_| fs::metadata(&file));
            let errno = error.expect_err("it fails").raw_os_error();
            assert_eq!(errno, Some(libc::ESTALE), "{operation:?}");
            layer.clear();
        }
        assert_eq!(fs::read(&file).expect("read"), b"content");
        let folder = layer.folder().to_owned();
        drop(layer);
        gone::no_mount_is_left(&folder).expect("it is gone");
    }
}
