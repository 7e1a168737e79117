// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tries to change a directory in every way that a program can, and reports the result of each.
//!
//! No attempt keeps a later one from succeeding. So a run on a writable directory shows that each
//! attempt is effective.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{io, ptr};

use serde::{Deserialize, Serialize};

use crate::worker::{Fault, HandleTable, Op};

/// Tries each way once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Modify {
    pub dir: PathBuf,
    /// A non-empty file in the directory, whose content and attributes are to be changed.
    pub file: PathBuf,
    /// Another file in the directory, which is to be renamed.
    pub other: PathBuf,
}

/// The paths for the attempts.
struct Paths {
    file: CString,
    other: CString,
    /// An unused name.
    new: CString,
}

type Attempt = (&'static str, fn(&Paths) -> libc::c_long);

impl Op for Modify {
    const NAME: &'static str = "modify";
    /// Each attempt's name and error; no error if something was changed.
    type Yield = Vec<(String, Option<String>)>;

    fn run(self, _: &mut HandleTable) -> Result<Self::Yield, Fault> {
        let attempt = |(name, attempt): &Attempt| -> Result<_, Fault> {
            let paths = Paths {
                file: c_path(&self.dir.join(&self.file))?,
                other: c_path(&self.dir.join(&self.other))?,
                new: c_path(&self.dir.join(format!("new-by-{name}")))?,
            };
            let error = match attempt(&paths) {
                -1 => Some(io::Error::last_os_error().to_string()),
                _ => None,
            };
            Ok(((*name).to_owned(), error))
        };
        ATTEMPTS.iter().map(attempt).collect()
    }
}

fn c_path(path: &Path) -> Result<CString, Fault> {
    let path = CString::new(path.as_os_str().as_bytes());
    path.map_err(Fault::of("naming a file"))
}

/// Declares the attempts as calls of libc on some of the paths.
macro_rules! attempts {
    ($($name:literal => |$($path:ident),+| $call:expr;)*) => {
        const ATTEMPTS: &[Attempt] = &[$(($name, |paths| {
            $(let $path = paths.$path.as_ptr();)+
            // SAFETY: the paths are NUL-terminated strings that outlive the call, and every other
            // argument is a constant or a buffer of the length that is given with it.
            unsafe { libc::c_long::from($call) }
        }),)*];
    };
}

attempts! {
    "open-write" => |file| libc::open(file, libc::O_WRONLY);
    "open-read-write" => |file| libc::open(file, libc::O_RDWR);
    "map-shared" => |file| map_shared(file, libc::PROT_READ | libc::PROT_WRITE, no_more);
    "mprotect" => |file| map_shared(file, libc::PROT_READ, make_writable);
    "read-into-mapping" => |file| map_shared(file, libc::PROT_READ, read_into);
    "chmod" => |file| libc::chmod(file, 0o777);
    "chown" => |file| libc::chown(file, 1234, 1234);
    "utimes" => |file| libc::utimensat(libc::AT_FDCWD, file, ptr::null(), 0);
    "setxattr" => |file| libc::setxattr(file, c"user.probe".as_ptr(), c"x".as_ptr().cast(), 1, 0);
    "create" => |new| libc::open(new, libc::O_CREAT | libc::O_WRONLY, 0o600);
    "mkdir" => |new| libc::mkdir(new, 0o700);
    "mknod" => |new| libc::mknod(new, libc::S_IFIFO | 0o600, 0);
    "symlink" => |file, new| libc::symlink(file, new);
    "link" => |file, new| libc::link(file, new);
    "rename" => |other, new| libc::rename(other, new);
    "truncate" => |file| libc::truncate(file, 1);
    "open-truncate" => |file| libc::open(file, libc::O_RDONLY | libc::O_TRUNC);
    "unlink" => |file| libc::unlink(file);
}

/// Bytes of a mapping.
const PAGE: usize = 4096;

/// Maps a file that is open for reading, and calls `then` with the mapping; -1 if either fails.
///
/// # Safety
/// `path` is a NUL-terminated string.
unsafe fn map_shared(
    path: *const libc::c_char,
    protection: libc::c_int,
    then: unsafe fn(*mut libc::c_void, *const libc::c_char) -> libc::c_int,
) -> libc::c_int {
    // SAFETY: the caller's promise; the mapping is new, and no other code uses it.
    unsafe {
        let fd = libc::open(path, libc::O_RDONLY);
        if fd < 0 {
            return -1;
        }
        let at = libc::mmap(ptr::null_mut(), PAGE, protection, libc::MAP_SHARED, fd, 0);
        if at == libc::MAP_FAILED {
            return -1;
        }
        then(at, path)
    }
}

/// Does nothing: it is enough that the file could be mapped.
fn no_more(_: *mut libc::c_void, _: *const libc::c_char) -> libc::c_int {
    0
}

/// Makes a mapping for reading writable.
///
/// # Safety
/// `at` is a mapping of [`PAGE`] bytes.
unsafe fn make_writable(at: *mut libc::c_void, _: *const libc::c_char) -> libc::c_int {
    // SAFETY: the caller's promise.
    unsafe { libc::mprotect(at, PAGE, libc::PROT_READ | libc::PROT_WRITE) }
}

/// Lets the kernel transfer bytes of the file into a mapping for reading.
///
/// # Safety
/// `at` is a mapping of [`PAGE`] bytes, and `path` a NUL-terminated string.
unsafe fn read_into(at: *mut libc::c_void, path: *const libc::c_char) -> libc::c_int {
    // SAFETY: the caller's promise; the kernel checks whether it may store there.
    unsafe {
        let fd = libc::open(path, libc::O_RDONLY | libc::O_DIRECT);
        if fd < 0 {
            return -1;
        }
        if libc::pread(fd, at, PAGE, 0) < 0 {
            -1
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn every_attempt_succeeds_where_writing_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["file", "other"] {
            std::fs::write(dir.path().join(name), "content").unwrap();
        }
        let modify = Modify {
            dir: dir.path().to_owned(),
            file: "file".into(),
            other: "other".into(),
        };
        let outcomes = modify.run(&mut HandleTable::default()).unwrap();
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        for (name, outcome) in outcomes {
            let possible = match &*name {
                // The file is open for reading only, even if the directory is writable.
                "map-shared" | "mprotect" | "read-into-mapping" => false,
                "chown" => root,
                _ => true,
            };
            assert_eq!(outcome.is_none(), possible, "{name}: {outcome:?}");
        }
    }
}
