// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Names of files in the guest.

use std::fmt;

/// An absolute path in the guest, without `.`, `..`, empty or trailing parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestPath(String);

/// Not a path for a guest's file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no absolute path in the guest without empty, `.` or `..` parts")]
pub struct GuestPathError(String);

impl GuestPath {
    /// Checks `path`.
    pub fn new(path: &str) -> Result<Self, GuestPathError> {
        let refuse = || GuestPathError(path.to_owned());
        let below = path.strip_prefix('/').ok_or_else(refuse)?;
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if below.split('/').all(plain) {
            Ok(Self(path.to_owned()))
        } else {
            Err(refuse())
        }
    }

    /// The path without its leading slash, as archives name it.
    pub(super) fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// The folder it is in; `None` for the root.
    pub(super) fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        (!parent.is_empty()).then(|| Self(parent.to_owned()))
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths_are_taken() {
        for bad in [
            "", "/", "a", "a/b", "/a/", "/a//b", "/a/../b", "/./a", "/a\0b",
        ] {
            assert_eq!(GuestPath::new(bad), Err(GuestPathError(bad.to_owned())));
        }
        let path = GuestPath::new("/usr/bin/[").unwrap();
        assert_eq!(path.relative(), "usr/bin/[");
        assert_eq!(path.parent().unwrap().parent().unwrap().to_string(), "/usr");
        assert_eq!(GuestPath::new("/usr").unwrap().parent(), None);
    }
}
