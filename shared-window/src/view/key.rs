// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The identity of a file.
//!
//! Device and inode number are none: a FUSE file system that unites others, a snapshot of NFS or
//! bcachefs, or 9p over several devices gives the same pair of numbers to two files. A window that
//! took them for one file would map the bytes of the first when the guest asked for the second.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::Arc;

use super::FileId;

/// The identity of a file, for sharing views and for recognizing a repeated mapping.
///
/// A server that has numbered its files passes its own number ([`FileKey::numbered`]): that is
/// exact and costs nothing. For any other server [`FileKey::of`] asks the kernel. Keys of the two
/// kinds are never equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileKey(Key);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Numbered(u64),
    Handle {
        mount: i32,
        kind: i32,
        bytes: Arc<[u8]>,
    },
    Numbers(FileId),
}

impl FileKey {
    /// The key of the server's own number for the file, such as the inode that it has told the
    /// guest. The server must not give that number to another file while it or the window holds a
    /// view of this one.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        Self(Key::Numbered(number))
    }

    /// The number that [`FileKey::numbered`] was given, if the server gave one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self.0 {
            Key::Numbered(number) => Some(number),
            Key::Handle { .. } | Key::Numbers(_) => None,
        }
    }

    /// The key by the kernel's handle of the file behind a descriptor, and the mount that it was
    /// opened on. The handle stays unique while any descriptor of the file is open; a
    /// [`View`](super::View) holds one.
    ///
    /// If the file system has no handles (9p, some overlayfs), device and inode number are used
    /// instead, and two files with equal numbers count as one.
    ///
    /// # Errors
    /// The error of `name_to_handle_at` or `fstat`.
    pub fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        // Since Linux 6.5 more file systems have a handle if it is only for comparison.
        let handle = match handle(file, libc::AT_HANDLE_FID) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => handle(file, 0),
            other => other,
        };
        match handle {
            Ok(key) => Ok(Self(key)),
            Err(error) if is_without_handles(&error) => {
                FileId::of(file).map(|numbers| Self(Key::Numbers(numbers)))
            }
            Err(error) => Err(error),
        }
    }
}

/// EOVERFLOW means a handle longer than the kernel allows. Some file systems return it when they
/// have no handles.
fn is_without_handles(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::EOVERFLOW | libc::ENOSYS | libc::EINVAL)
    )
}

/// A `struct file_handle` with room for the longest one.
#[repr(C)]
struct Room {
    head: libc::file_handle,
    bytes: [u8; libc::MAX_HANDLE_SZ as usize],
}

fn handle(file: BorrowedFd<'_>, flags: i32) -> io::Result<Key> {
    let mut room = Room {
        head: libc::file_handle {
            handle_bytes: libc::MAX_HANDLE_SZ as u32,
            handle_type: 0,
            f_handle: [],
        },
        bytes: [0; libc::MAX_HANDLE_SZ as usize],
    };
    let mut mount = 0;
    // SAFETY: the descriptor is open and the name is a C string. The kernel writes one int to
    // `mount`, and at most the `handle_bytes` behind the head, for which `room` has space.
    let done = unsafe {
        libc::name_to_handle_at(
            file.as_raw_fd(),
            c"".as_ptr(),
            ptr::from_mut(&mut room).cast(),
            &raw mut mount,
            libc::AT_EMPTY_PATH | flags,
        )
    };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let len = (room.head.handle_bytes as usize).min(room.bytes.len());
    Ok(Key::Handle {
        mount,
        kind: room.head.handle_type,
        bytes: room.bytes[..len].into(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_kernel_s_handle_tells_files_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let one = File::create(&path).unwrap();
        let other = File::create(dir.path().join("other")).unwrap();
        let of = |file: &File| FileKey::of(file.as_fd()).unwrap();
        assert_eq!(of(&one), of(&File::open(&path).unwrap()));
        assert_ne!(of(&one), of(&other));
        assert_ne!(of(&one), FileKey::numbered(1));
    }

    #[test]
    fn a_file_without_a_handle_has_its_numbers() {
        let file = File::open("/proc/self/stat").unwrap();
        let again = File::open("/proc/self/stat").unwrap();
        let of = |file: &File| FileKey::of(file.as_fd()).unwrap();
        assert_eq!(of(&file), of(&again));
    }
}
