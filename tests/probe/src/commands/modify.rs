// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Tries to change a directory in every way that a program can, and says what came of each.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{io, ptr};

use anyhow::{Context as _, Result};

use crate::cli::Verdict;

/// Pass where nothing in the directory could be changed; prints `NAME: done|ERROR` for each try.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory.
    dir: PathBuf,
    /// A file in it, not empty, whose content and attributes are to be changed.
    file: PathBuf,
}

type Attempt = (&'static str, fn(&CStr, &CStr) -> libc::c_long);

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let file = c_path(&args.dir.join(&args.file))?;
    let new = c_path(&args.dir.join("guest-probe-new"))?;
    let mut changed = false;
    for (name, attempt) in ATTEMPTS {
        let outcome = match attempt(&file, &new) {
            -1 => io::Error::last_os_error().to_string(),
            _ => {
                changed = true;
                "done".to_owned()
            }
        };
        println!("{name}: {outcome}");
    }
    Ok(Verdict::from_bool(!changed))
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).context("a path with a NUL byte")
}

/// Declares the attempts as calls of libc on the existing file and a new name.
macro_rules! attempts {
    ($($name:literal => |$file:ident, $new:ident| $call:expr;)*) => {
        const ATTEMPTS: &[Attempt] = &[$(($name, |$file, $new| {
            let ($file, $new) = ($file.as_ptr(), $new.as_ptr());
            let _ = ($file, $new);
            // SAFETY: both are NUL-terminated strings that outlive the call, and every other
            // argument is a constant or a buffer of the length that is given with it.
            unsafe { libc::c_long::from($call) }
        }),)*];
    };
}

attempts! {
    "open-write" => |file, new| libc::open(file, libc::O_WRONLY);
    "open-read-write" => |file, new| libc::open(file, libc::O_RDWR);
    "open-truncate" => |file, new| libc::open(file, libc::O_RDONLY | libc::O_TRUNC);
    "truncate" => |file, new| libc::truncate(file, 0);
    "create" => |file, new| libc::open(new, libc::O_CREAT | libc::O_WRONLY, 0o600);
    "mkdir" => |file, new| libc::mkdir(new, 0o700);
    "mknod" => |file, new| libc::mknod(new, libc::S_IFIFO | 0o600, 0);
    "symlink" => |file, new| libc::symlink(file, new);
    "link" => |file, new| libc::link(file, new);
    "rename" => |file, new| libc::rename(file, new);
    "unlink" => |file, new| libc::unlink(file);
    "chmod" => |file, new| libc::chmod(file, 0o777);
    "chown" => |file, new| libc::chown(file, 1234, 1234);
    "utimes" => |file, new| libc::utimensat(libc::AT_FDCWD, file, ptr::null(), 0);
    "setxattr" => |file, new| libc::setxattr(file, c"user.probe".as_ptr(), c"x".as_ptr().cast(), 1, 0);
    "map-shared" => |file, new| map_shared(file);
}

/// Maps a file that is open for reading shared and writable, as mprotect(2) would do later.
///
/// # Safety
/// `file` is a NUL-terminated string.
unsafe fn map_shared(file: *const libc::c_char) -> libc::c_int {
    // SAFETY: the caller's promise; the mapping is new and used by nobody.
    unsafe {
        let fd = libc::open(file, libc::O_RDONLY);
        if fd < 0 {
            return -1;
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::mmap(ptr::null_mut(), 4096, protection, libc::MAP_SHARED, fd, 0);
        if at == libc::MAP_FAILED { -1 } else { 0 }
    }
}
