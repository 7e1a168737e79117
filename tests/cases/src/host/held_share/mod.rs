// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file, not accessed by DAX, whose reads and writes are answered when the lab says so.
//!
//! ```text
//! guest: O_DIRECT ── virtio-fs ──▶ a daemon ── read, write ──▶ HeldFile, a FUSE server in this
//!                                                              process
//! ```
//! The file is the only one of a second share, and also appears in the share with the window. A
//! daemon does not know what another daemon has mapped. So a request to its own share pins a page
//! of the window, and a request to the second share pins a page of persistent memory.
//!
//! The daemon is not stopped, it waits: QEMU reports each memory region to it, and waits for the
//! answer.

mod file;

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use file::{HeldFile, Replies};
use fuser::{Config, Session, SessionACL};
use qemu_guest::vm::machine::TagError;
use qemu_guest::vm::process::{Sandbox, Share};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use rustix::process::{getegid, geteuid};

use super::FileSystem;
use super::delayed::{DelayedError, Request};

/// The tag that the guest mounts.
pub(super) const TAG: &str = "held";
/// The mount point in the guest.
pub(super) const MOUNT_POINT: &str = "/mnt/held";
/// The file's name in the share with the window.
pub(super) const IN_WINDOW_SHARE: &str = "held-file";
/// Threads of each daemon that serves the file: while some wait for the file, others serve the
/// guest.
pub(super) const THREADS: &str = "--thread-pool-size=8";

/// Errors of the share.
#[derive(Debug, thiserror::Error)]
pub enum HeldShareError {
    /// The host can't mount the file system.
    #[error("can't serve a FUSE file system at {}", path.display())]
    Mount {
        /// The mount point.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The request did not come, or is not there.
    #[error("at the delaying file")]
    Delayed(#[from] DelayedError),
}

/// The file system on the host, which is the second share; it is unmounted on drop.
pub struct HeldShare {
    dir: PathBuf,
    /// The second place where its file is mounted.
    elsewhere: Option<PathBuf>,
    replies: Arc<Replies>,
}

/// The guest's path of the file whose transfers pin pages of `fs`.
pub fn held_file(fs: FileSystem) -> String {
    match fs {
        FileSystem::Fuse => format!("{}/{IN_WINDOW_SHARE}", fs.mount_point()),
        FileSystem::Ext4 | FileSystem::Xfs => format!("{MOUNT_POINT}/{}", file::FILE_NAME),
    }
}

impl HeldShare {
    /// Makes a folder and mounts the file system on it, which a thread serves until it is
    /// unmounted.
    ///
    /// # Errors
    ///
    /// If the lab may not mount it.
    pub(super) fn mount(dir: &Path) -> Result<Self, HeldShareError> {
        let replies = Arc::new(Replies::default());
        let failed = |source| HeldShareError::Mount {
            path: dir.to_owned(),
            source,
        };
        fs::create_dir(dir).map_err(failed)?;
        serve(dir, HeldFile::new(Arc::clone(&replies))).map_err(failed)?;
        Ok(Self {
            dir: dir.to_owned(),
            elsewhere: None,
            replies,
        })
    }

    /// Mounts its file into a share, too. Unlike a folder, the file is no mount point to the guest.
    /// Only a daemon that starts later sees it.
    ///
    /// # Errors
    ///
    /// If the lab may not mount the file.
    pub(super) fn mount_file_in(&mut self, share: &Path) -> Result<(), HeldShareError> {
        let path = share.join(IN_WINDOW_SHARE);
        let mounted = File::create(&path)
            .and_then(|_file| Ok(mount_bind(self.dir.join(file::FILE_NAME), &path)?));
        mounted.map_err(|source| HeldShareError::Mount {
            path: path.clone(),
            source,
        })?;
        self.elsewhere = Some(path);
        Ok(())
    }

    /// The settings of its daemon.
    ///
    /// # Errors
    ///
    /// Never: its tag is valid.
    pub(super) fn share(&self) -> Result<Share, TagError> {
        Ok(Share {
            // With a sandbox the daemon would keep the mount busy after its end.
            sandbox: Sandbox::None,
            extra: vec![
                // This file system has no file handles.
                "--inode-file-handles=never".into(),
                THREADS.into(),
            ],
            ..Share::new(&self.dir, TAG.parse()?)
        })
    }

    /// Waits until the guest has made a request at `offset` of the file, which is delayed.
    ///
    /// # Errors
    ///
    /// If the request does not come.
    pub async fn held(&self, offset: u64) -> Result<Request, HeldShareError> {
        Ok(self.replies.delayed.held(offset).await?)
    }

    /// Answers the delayed request at `offset`. Returns the earliest moment at which the daemon
    /// can have the reply.
    ///
    /// # Errors
    ///
    /// If there is no such request.
    pub fn release(&self, offset: u64) -> Result<Instant, HeldShareError> {
        let (request, reply) = self.replies.delayed.take(offset)?;
        reply.send(&request);
        Ok(Instant::now())
    }

    /// Answers all delayed requests, so that the guest's processes can end.
    pub fn release_all(&self) {
        self.replies.release_all();
    }

    /// A guard. Its drop answers all requests, those delayed then and later ones: the daemon can't
    /// end before.
    pub(super) fn release_at_end(&self) -> Release {
        Release(Arc::clone(&self.replies))
    }
}

impl Drop for HeldShare {
    fn drop(&mut self) {
        self.replies.delay_no_more();
        // The server's thread ends when no process has the file system open any more.
        for mounted in self.elsewhere.iter().chain([&self.dir]) {
            if let Err(error) = unmount(mounted, UnmountFlags::DETACH) {
                log::warn!("can't unmount {}: {error}", mounted.display());
            }
        }
    }
}

/// Ends the delays when it is dropped.
pub(super) struct Release(Arc<Replies>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.delay_no_more();
    }
}

fn serve(dir: &Path, file: HeldFile) -> io::Result<()> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")?;
    let device = OwnedFd::from(device);
    let options = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        geteuid().as_raw(),
        getegid().as_raw()
    );
    let options = CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("daxlab", dir, "fuse", flags, options.as_c_str())?;
    let served = Session::from_fd(file, device, SessionACL::Owner, Config::default());
    let served = served.and_then(Session::spawn);
    if served.is_err() {
        unmount(dir, UnmountFlags::DETACH)?;
    }
    served.map(drop)
}

#[cfg(test)]
mod tests;
