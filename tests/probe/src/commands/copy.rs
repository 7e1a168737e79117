// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Copies a file to another, where one of the two is a mapping: what write(2) and read(2) do when a
//! program hands them a mapped file's memory, as git does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::access::{Intent, Mapping};
use crate::cli::Verdict;

/// Which of the two files is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mapped {
    /// The first: it is written to the second, which is created if need be.
    From,
    /// The second, which has to be as large: the first is read into it.
    To,
}

/// Pass where all bytes were copied; prints `copied=N`, and `why=…` if it ended early.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the bytes come from.
    from: PathBuf,
    /// Where they go to.
    to: PathBuf,
    /// Which of the two is mapped.
    #[arg(long, value_enum)]
    mapped: Mapped,
    /// Open the other with O_DIRECT.
    #[arg(long)]
    direct: bool,
    /// Where in the other file it begins.
    #[arg(long, default_value_t = 0)]
    at: u64,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let (path, intent, other) = match args.mapped {
        Mapped::From => (&args.from, Intent::Read, &args.to),
        Mapped::To => (&args.to, Intent::Write, &args.from),
    };
    let mapping = Mapping::new(path, intent)?;
    let other = open(other, args.mapped, args.direct)?;
    let mut copied = 0;
    let mut why = String::new();
    while copied < mapping.len() {
        match transfer(
            &mapping,
            copied,
            &other,
            args.at + copied as u64,
            args.mapped,
        ) {
            Ok(0) => break,
            Ok(count) => copied += count,
            Err(error) => {
                why = format!(" why={error}");
                break;
            }
        }
    }
    println!("copied={copied}{why}");
    Ok(Verdict::from_bool(copied == mapping.len()))
}

fn open(path: &Path, mapped: Mapped, direct: bool) -> Result<File> {
    let writes = mapped == Mapped::From;
    OpenOptions::new()
        .read(!writes)
        .write(writes)
        .create(writes)
        .truncate(false)
        .custom_flags(if direct { libc::O_DIRECT } else { 0 })
        .open(path)
        .with_context(|| format!("can't open {}", path.display()))
}

/// One system call from or into the rest of the mapping.
fn transfer(
    mapping: &Mapping,
    at: usize,
    other: &File,
    offset: u64,
    mapped: Mapped,
) -> io::Result<usize> {
    let len = mapping.len() - at;
    let memory = mapping.pointer(at as u64, len)?;
    let (fd, offset) = (other.as_raw_fd(), offset.cast_signed());
    // SAFETY: pointer() has checked the range, which the mapping keeps alive; no reference to its
    // bytes exists, and one for reading is only read.
    let moved = unsafe {
        match mapped {
            Mapped::From => libc::pwrite(fd, memory.cast(), len, offset),
            Mapped::To => libc::pread(fd, memory.cast(), len, offset),
        }
    };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}
