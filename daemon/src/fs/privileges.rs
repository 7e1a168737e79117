// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Clears set-user-ID, set-group-ID and file capabilities of a file before the guest stores into
//! it.
//!
//! With `--killpriv-v2` the guest's kernel leaves that to the daemon, and says so in each
//! FUSE_WRITE. A store through the window sends no FUSE_WRITE. The guest's root may keep
//! set-user-ID, but the daemon can't know here who stores.

use std::io;
use std::os::fd::BorrowedFd;

use virtiofsd::filesystem::{Context, FileSystem, SetattrValid};
use virtiofsd::fuse::SetattrIn;

use super::{NodeId, with_file};

const CAPABILITIES: &std::ffi::CStr = c"security.capability";

/// See the module's documentation.
///
/// # Errors
/// The file system's error.
pub fn kill_privileges<F: FileSystem>(fs: &F, context: Context, node: NodeId) -> io::Result<()> {
    let inode = || F::Inode::from(node.0);
    let (attr, _) = fs.getattr(context, inode(), None)?;
    let set_id = attr.mode & (libc::S_ISUID | libc::S_ISGID) != 0;
    // The attribute under the name that the file system keeps it by for the guest, and under the
    // host's own name.
    let capable = || {
        fs.getxattr(context, inode(), CAPABILITIES, 0).is_ok()
            || with_file(fs, context, node, libc::O_RDONLY, has_capabilities).unwrap_or(true)
    };
    if !set_id && !capable() {
        return Ok(());
    }
    // chown(2) clears all of them, also when owner and group stay the same.
    let same = SetattrIn {
        uid: attr.uid,
        gid: attr.gid,
        ..SetattrIn::default()
    };
    let owner = SetattrValid::UID | SetattrValid::GID;
    fs.setattr(context, inode(), same, None, owner).map(drop)
}

fn has_capabilities(file: BorrowedFd<'_>) -> io::Result<bool> {
    match rustix::fs::fgetxattr(file, CAPABILITIES, &mut [0; 0][..]) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
