// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The steps of an attempt, and their results.

use virtiofs_driver::FuseError;

/// One request, or many of a kind.
#[derive(Debug, Clone)]
pub struct Step {
    /// The request.
    pub what: String,
    /// The answer, in short.
    pub answer: String,
    /// The reason why the answer is wrong, if it is.
    pub wrong: Option<String>,
}

/// What the daemon answered.
pub fn answer<T>(result: &Result<T, FuseError>) -> String {
    match result {
        Ok(_) => "served".to_owned(),
        Err(error) => match error.errno() {
            Some(errno) => name(errno),
            None => error.to_string(),
        },
    }
}

/// The name of an errno, for common ones.
fn name(errno: i32) -> String {
    let name = match errno {
        libc::EACCES => "EACCES",
        libc::EBADF => "EBADF",
        libc::EBUSY => "EBUSY",
        libc::EEXIST => "EEXIST",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::EISDIR => "EISDIR",
        libc::ELOOP => "ELOOP",
        libc::ENODEV => "ENODEV",
        libc::ENOENT => "ENOENT",
        libc::ENOSYS => "ENOSYS",
        libc::ENOTDIR => "ENOTDIR",
        libc::ENXIO => "ENXIO",
        libc::EPERM => "EPERM",
        libc::EROFS => "EROFS",
        libc::ESTALE => "ESTALE",
        libc::EXDEV => "EXDEV",
        other => return format!("errno {other}"),
    };
    name.to_owned()
}
