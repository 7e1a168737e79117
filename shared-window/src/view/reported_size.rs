// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tells views from other files.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, StatxFlags};

use super::passthrough::REPORTED_SIZE;

/// Whether `file` is a view, of any server of views on this host.
///
/// Views report a size that no other file has. The kernel is asked only for what it has cached, so
/// this never waits for the process that serves the view. If the kernel refuses to answer, as for a
/// mount of another user namespace, the file counts as a view.
pub fn is_view(file: BorrowedFd<'_>) -> bool {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(file, c"", flags, StatxFlags::SIZE)
        .map_or(true, |known| known.stx_size == REPORTED_SIZE)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::is_view;

    #[test]
    fn a_file_that_tells_its_size_is_no_view() {
        let file = tempfile::tempfile().unwrap();
        assert!(!is_view(file.as_fd()));
        file.set_len(1 << 40).unwrap();
        assert!(!is_view(file.as_fd()));
    }
}
