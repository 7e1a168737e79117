// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A name that a guest sends is one component of a path.
//!
//! Linux sends no other name, but a hostile guest can. virtiofsd refuses a path in LOOKUP if it
//! leads out of the share, but not when it creates, moves or removes a name: without a sandbox
//! `../name` is outside the share, and if a procfs is shared, so is a path through `PID/root`.

use std::ffi::CStr;
use std::io;

/// Refuses a name that is a path.
///
/// `.` and `..` pass: a guest that exports the share over NFS looks `..` up, and virtiofsd lets no
/// `..` lead out of the share. Linux refuses to create, move or remove either name.
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
