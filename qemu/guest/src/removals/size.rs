// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file gets shorter.

use std::fs::{self, File};

use crate::worker::Fault;

pub(super) fn truncate(path: &str, len: u64) -> Result<(), Fault> {
    let failed = || format!("truncating {path} to {len}");
    // truncate(2) and not ftruncate(2): in FUSE an open file changes what is sent.
    let path =
        std::ffi::CString::new(path).map_err(|error| Fault::new(failed(), error.to_string()))?;
    // SAFETY: a string that ends with a NUL.
    match unsafe { libc::truncate(path.as_ptr(), len.cast_signed()) } {
        0 => Ok(()),
        _ => Err(Fault::of(failed())(std::io::Error::last_os_error())),
    }
}

pub(super) fn open_truncate(path: &str, create: bool) -> Result<(), Fault> {
    let opened = File::options()
        .write(true)
        .truncate(true)
        .create(create)
        .open(path);
    opened
        .map(drop)
        .map_err(Fault::of(format!("opening {path} with O_TRUNC")))
}

pub(super) fn stat(path: &str) -> Result<(), Fault> {
    let seen = fs::metadata(path);
    seen.map(drop).map_err(Fault::of(format!("stat {path}")))
}
