// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A name that a guest sends is one component of a path.
//!
//! Linux sends no other, but a guest can. virtiofsd looks up none that leads out, but makes, moves
//! and removes what it is told: without a sandbox `../name` is outside the share, and where a procfs
//! is shared so is a path through `PID/root`.

use std::ffi::CStr;
use std::io;

/// Refuses a name that is a path.
///
/// `.` and `..` pass: a guest that exports the share over NFS looks `..` up, virtiofsd does not let
/// that out, and Linux refuses to make, move or remove either.
///
/// # Errors
/// `EINVAL`.
pub(super) fn component(name: &CStr) -> io::Result<()> {
    if name.to_bytes().contains(&b'/') {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::component;

    #[test]
    fn a_path_is_no_name() {
        for name in [c"file", c"..", c".", c"", c"a\\b"] {
            assert!(component(name).is_ok(), "{name:?}");
        }
        for path in [c"../file", c"a/b", c"/", c"a/"] {
            let error = component(path).expect_err("it is a path");
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{path:?}");
        }
    }
}
