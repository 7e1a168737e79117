// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Says whether files really are in DAX mode: a test that runs on a mount that failed, or on a
//! file that the policy left out, proves nothing.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{io, mem};

use anyhow::{Context as _, Result};

use crate::cli::Verdict;

/// `STATX_ATTR_DAX` of include/uapi/linux/stat.h, as the 64-bit field has it.
const STATX_ATTR_DAX: u64 = 0x0020_0000;

/// Pass where every file given is in DAX mode; prints `PATH dax=yes|no`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to look at.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let mut all = true;
    for path in &args.paths {
        let dax = is_dax(path).with_context(|| format!("can't statx {}", path.display()))?;
        println!("{} dax={}", path.display(), if dax { "yes" } else { "no" });
        all &= dax;
    }
    Ok(Verdict::from_bool(all))
}

fn is_dax(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: statx is plain data, for which all zeroes are valid.
    let mut found: libc::statx = unsafe { mem::zeroed() };
    // SAFETY: the path is NUL-terminated and `found` is writable; both outlive the call.
    let result = unsafe {
        libc::statx(
            libc::AT_FDCWD,
            path.as_ptr(),
            0,
            libc::STATX_BASIC_STATS,
            &mut found,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(found.stx_attributes & STATX_ATTR_DAX != 0)
}
