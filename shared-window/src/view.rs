// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Views: the descriptors that the VMM gets in place of files.
//!
//! A guest maps whole 2 MiB ranges, whatever a file's size. QEMU refuses a range that ends behind
//! the end of the file, and it *grows* a file whose `lseek(fd, 0, SEEK_END)` is 0. So QEMU gets not
//! the file but a view of it: a descriptor that reports a huge size and maps the pages of the real
//! file.
//!
//! ```text
//!   server of the share                        companion process (root's CAP_SYS_ADMIN)
//!   Window ── ViewClient ── file descriptor ──▶ ViewServer ── private FUSE mount, passthrough
//!                  ◀──────── a name ───────────     │
//!                  └─ openat(mount, name) ─ FUSE ──▶┘  "back this open by that file"
//!                  = the view; its mmap goes straight to the file's page cache
//! ```
//!
//! [`ViewService`] makes the pair of [`ViewClient`] and [`ViewServer`]. [`DirectViews`] returns the
//! file itself, for memory of this process and for files that need no padding. The trait of all
//! sources is [`ViewSource`].
//!
//! Invariants: to open or map a view changes neither size nor content of the file; a view never
//! allows more than the descriptor that it was made from; all mappings of a file share one [`View`]
//! of it.

mod cache;
mod client;
mod direct;
mod guard;
mod harden;
mod instance;
mod key;
mod lost;
mod passthrough;
mod reported_size;
mod server;
mod slots;
mod socket;
mod wire;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::io::Errno;
use thiserror::Error;

use crate::units::Access;

pub(crate) use cache::ViewCache;
pub use client::{StartingViews, ViewClient};
pub use direct::DirectViews;
pub use key::FileKey;
pub use lost::{LostPages, LostStores, ViewNumber};
pub use reported_size::is_view;
pub use server::{ViewServer, ViewServerError};
pub use wire::{Unavailable, Unguarded};

/// A source of views of files.
pub trait ViewSource: Send + Sync {
    /// Opens a view of `file` that allows `access`. A [`Window`](crate::Window) has checked before
    /// that `file` is a regular file and was opened for this access.
    ///
    /// # Errors
    /// [`ViewError`]; in particular [`ViewError::NotAllowed`] if the descriptor itself does not
    /// allow `access`.
    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError>;

    /// The VMM's reports of lost pages, if these views support them.
    fn lost_pages(&self) -> Option<LostPages> {
        None
    }
}

impl<S: ViewSource + ?Sized> ViewSource for Arc<S> {
    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
        (**self).open(file, access)
    }

    fn lost_pages(&self) -> Option<LostPages> {
        (**self).lost_pages()
    }
}

/// Why there is no view of a file.
#[derive(Debug, Error)]
pub enum ViewError {
    /// This host can't make views.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The descriptor is not one of a regular file.
    #[error("only a regular file can be mapped")]
    NotRegular,
    /// The file belongs to a file system that only shows data of the kernel or of a device.
    #[error("the file is on no file system that stores data: the kernel generates its content")]
    NotStored,
    /// The descriptor does not allow the requested access.
    #[error("the file is not open for {0:?} access")]
    NotAllowed(Access),
    /// The file lies on file systems stacked too deep, such as an overlayfs upon an overlayfs.
    #[error("the file's file system is stacked too deep for FUSE passthrough")]
    StackedTooDeep,
    /// The kernel does not back a view by a file of this kind.
    #[error("the file's file system can't back a view")]
    Unsupported(#[source] io::Error),
    /// The process that serves views has ended.
    #[error("the process that serves views of files has ended")]
    ServerGone,
    /// The process that serves views sent an unexpected packet.
    #[error("the process that serves views of files broke the protocol: {0}")]
    Protocol(&'static str),
    /// A system call failed.
    #[error("failed to {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ViewError {
    /// The reason why the kernel did not open a prepared view.
    fn from_open(errno: Errno) -> Self {
        match errno {
            Errno::LOOP => Self::StackedTooDeep,
            Errno::OPNOTSUPP | Errno::INVAL => Self::Unsupported(errno.into()),
            // EPERM: the server may not back an open. EACCES: the mount belongs to a user namespace
            // that this process is not in (fuse_allow_current_process).
            Errno::PERM | Errno::ACCESS => Self::Unavailable(Unavailable::NotPermitted),
            Errno::CONNABORTED | Errno::NOTCONN => Self::ServerGone,
            other => Self::system("open the view", other),
        }
    }

    fn system(what: &'static str, errno: Errno) -> Self {
        Self::System {
            what,
            source: errno.into(),
        }
    }
}

/// The host's numbers for a file: for display, and to check whether two files *may* be the same.
/// They are no identity (that is [`FileKey`]): two files can have equal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device that the file is on: `st_dev`.
    pub device: u64,
    /// Its inode number on that device: `st_ino`.
    pub inode: u64,
}

impl FileId {
    /// The numbers of the file behind a descriptor.
    ///
    /// # Errors
    /// The error of `fstat`.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::from(&rustix::fs::fstat(file)?))
    }
}

impl From<&rustix::fs::Stat> for FileId {
    fn from(stat: &rustix::fs::Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

/// An open view of one file, shared by all mappings of that file.
#[derive(Debug)]
pub struct View {
    descriptor: File,
    key: FileKey,
    file: FileId,
    access: Access,
}

impl View {
    fn new(descriptor: OwnedFd, key: FileKey, file: FileId, access: Access) -> Self {
        Self {
            descriptor: descriptor.into(),
            key,
            file,
            access,
        }
    }

    /// The file of this view.
    pub fn key(&self) -> &FileKey {
        &self.key
    }

    /// The host's numbers for that file.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// The access that the view allows.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The size that the view reports, in bytes: at least that of the file.
    ///
    /// # Errors
    /// The error of `fstat`.
    pub fn reported_size(&self) -> io::Result<u64> {
        Ok(self.descriptor.metadata()?.size())
    }
}

impl AsFd for View {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The two ends of a service of views, made before a process forks.
#[derive(Debug)]
pub struct ViewService;

impl ViewService {
    /// Makes both ends. Nothing else happens yet: no mount, no thread.
    ///
    /// Fork. In the child drop the first end and call [`ViewServer::serve_until_closed`]; in the
    /// parent drop the second and call [`StartingViews::wait_ready`]. The server ends when no
    /// process holds the first end any more, so a process that is forked later has to close it.
    ///
    /// # Errors
    /// [`ViewError::System`] if the kernel makes no socket pair.
    pub fn prepare() -> Result<(StartingViews, ViewServer), ViewError> {
        let (ours, theirs) =
            socket::pair().map_err(|errno| ViewError::system("make a socket pair", errno))?;
        let lost = LostPages::new().map_err(|source| ViewError::System {
            what: "make memory in common",
            source,
        })?;
        let server = ViewServer::new(theirs, lost.clone());
        Ok((StartingViews::new(ours, lost), server))
    }
}

/// File systems whose files are the kernel's or a device's, by the magic numbers of
/// `linux/magic.h`. Their files map memory of a device or a process. A share must not give access
/// to that, least of all with the rights of the process that makes views.
const MADE_UP: [u32; 15] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x6265_6570, // configfs
    0x7363_6673, // securityfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x4249_4e4d, // binfmt_misc
    0x0000_1cd1, // devpts
];

fn is_made_up(file: BorrowedFd<'_>) -> Result<bool, ViewError> {
    let stat = rustix::fs::fstatfs(file)
        .map_err(|errno| ViewError::system("ask for a file's file system", errno))?;
    // The field is a long, whose low half is the number.
    Ok(MADE_UP.contains(&(stat.f_type as u32)))
}

/// The file's numbers. Fails unless `file` is a regular file that was opened for at least `access`.
pub(crate) fn check_descriptor(file: BorrowedFd<'_>, access: Access) -> Result<FileId, ViewError> {
    use rustix::fs::{FileType, OFlags};

    let flags =
        rustix::fs::fcntl_getfl(file).map_err(|e| ViewError::system("read a file's flags", e))?;
    let stat = rustix::fs::fstat(file).map_err(|e| ViewError::system("stat a file", e))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ViewError::NotRegular);
    }
    if is_made_up(file)? {
        return Err(ViewError::NotStored);
    }
    let mode = flags & OFlags::RWMODE;
    let allowed = match access {
        Access::ReadOnly => mode == OFlags::RDONLY || mode == OFlags::RDWR,
        Access::ReadWrite => mode == OFlags::RDWR,
    };
    // O_PATH looks like O_RDONLY here, and grants nothing.
    if !allowed || flags.contains(OFlags::PATH) {
        return Err(ViewError::NotAllowed(access));
    }
    Ok(FileId::from(&stat))
}
