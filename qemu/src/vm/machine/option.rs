// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! One `key=value,…` argument of QEMU.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// An argument such as `socket,id=c0,path=/run/s`, with the values' commas doubled as QEMU's option
/// parser wants them.
#[derive(Debug, Clone)]
pub(super) struct Opt(Vec<u8>);

impl Opt {
    /// Starts with the driver, back end or type name that QEMU wants first.
    pub(super) fn new(head: &str) -> Self {
        Self(head.as_bytes().to_vec())
    }

    /// Appends `,key=value`.
    pub(super) fn set(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.push(b',');
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(b'=');
        for &byte in value.as_ref().as_bytes() {
            if byte == b',' {
                self.0.push(b',');
            }
            self.0.push(byte);
        }
        self
    }

    /// Appends `,key=value` with the value's usual text.
    pub(super) fn with(self, key: &str, value: impl std::fmt::Display) -> Self {
        self.set(key, value.to_string())
    }
}

impl From<Opt> for OsString {
    fn from(opt: Opt) -> Self {
        OsString::from_vec(opt.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_values_are_doubled() {
        let opt = Opt::new("socket").with("id", 7).set("path", "/a,b/s");
        assert_eq!(OsString::from(opt), "socket,id=7,path=/a,,b/s");
    }
}
