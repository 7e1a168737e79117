// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file itself as its view.

use std::os::fd::{BorrowedFd, OwnedFd};

use super::{ViewError, ViewSource, check_descriptor};
use crate::units::Access;

/// Returns the file itself: a duplicate of the descriptor.
///
/// For a VMM that maps beyond the end of a file and leaves the file's size alone. QEMU 11.1 does
/// neither, nor does [`ProcessWindow`](crate::ProcessWindow), which has QEMU's rules.
#[derive(Debug, Default, Clone, Copy)]
pub struct DirectViews;

impl ViewSource for DirectViews {
    fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
        check_descriptor(file, access)?;
        file.try_clone_to_owned()
            .map_err(|source| ViewError::System {
                what: "duplicate a descriptor",
                source,
            })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_descriptor_gives_no_more_than_it_allows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writable = File::options()
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        let readable = File::open(&path).unwrap();
        let both = File::options().read(true).write(true).open(&path).unwrap();
        let open = |file: &File, access| DirectViews.open(file.as_fd(), access);

        open(&both, Access::ReadWrite).unwrap();
        open(&both, Access::ReadOnly).unwrap();
        open(&readable, Access::ReadOnly).unwrap();
        for (file, access) in [
            (&readable, Access::ReadWrite),
            (&writable, Access::ReadWrite),
            (&writable, Access::ReadOnly),
        ] {
            let error = open(file, access).unwrap_err();
            assert!(
                matches!(error, ViewError::NotAllowed(a) if a == access),
                "{error}"
            );
        }
    }

    #[test]
    fn only_regular_files_have_views() {
        for path in ["/", "/dev/null"] {
            let file = File::open(path).unwrap();
            let error = DirectViews
                .open(file.as_fd(), Access::ReadOnly)
                .unwrap_err();
            assert!(matches!(error, ViewError::NotRegular), "{path}: {error}");
        }
    }
}
