// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Touches one byte of every 2 MiB range of a file, to fill a window, and counts what failed.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::access::{Access, How, Intent, open};
use crate::cli::Verdict;

/// What Linux maps at a time (`FUSE_DAX_SZ` of fs/fuse/dax.c).
pub const RANGE: u64 = 2 << 20;

/// Pass where every range could be read; prints `touched=N failed=M first=INDEX why=…`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file.
    path: PathBuf,
    /// In which way.
    #[arg(long, value_enum)]
    how: How,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let ranges = open(&args.path, Intent::Read)?
        .metadata()?
        .len()
        .div_ceil(RANGE);
    let access = Access::open(&args.path, args.how, Intent::Read)?;
    let mut failed = 0;
    let mut first = String::new();
    for range in 0..ranges {
        if let Err(why) = touch(&access, range * RANGE)? {
            if failed == 0 {
                first = format!(" first={range} why={why}");
            }
            failed += 1;
        }
    }
    println!("touched={} failed={failed}{first}", ranges - failed);
    Ok(Verdict::from_bool(failed == 0))
}

/// Reads one byte; the inner error is what a program would have seen.
fn touch(access: &Access, offset: u64) -> Result<Result<(), String>> {
    let mut byte = [0];
    match access {
        Access::Syscall(_) => Ok(access.read(offset, &mut byte).map_err(|e| e.to_string())),
        // A failed page fault is a signal, so a child takes it.
        // SAFETY: this program has one thread; the child only loads a byte and leaves.
        Access::Mmap(_) => match unsafe { libc::fork() } {
            -1 => Err(std::io::Error::last_os_error()).context("can't fork"),
            0 => {
                let status = i32::from(access.read(offset, &mut byte).is_err());
                // SAFETY: ends the child at once, without running the parent's destructors.
                unsafe { libc::_exit(status) }
            }
            child => reap(child),
        },
    }
}

fn reap(child: libc::pid_t) -> Result<Result<(), String>> {
    let mut status = 0;
    // SAFETY: `status` is writable and `child` is ours.
    if unsafe { libc::waitpid(child, &mut status, 0) } != child {
        bail!("can't wait for the child");
    }
    if libc::WIFSIGNALED(status) {
        return Ok(Err(format!("signal-{}", libc::WTERMSIG(status))));
    }
    Ok(match libc::WEXITSTATUS(status) {
        0 => Ok(()),
        code => Err(format!("exit-{code}")),
    })
}
