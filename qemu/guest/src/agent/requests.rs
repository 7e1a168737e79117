// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests that are carried out at once.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
};

use rustix::{
    fs::{AtFlags, CWD, StatxFlags, statx},
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

use crate::wire::{Errno, Failure, FileStat, MAX_FILE, Mount, Reply, Request};

/// Carries out one request, except the two that end the guest.
pub(crate) fn perform(request: Request) -> Result<Reply, Failure> {
    let outcome = match request {
        Request::Mount(asked) => mount_as_asked(&asked).map(|()| Reply::Done),
        Request::Umount { target } => unmount(target, UnmountFlags::empty())
            .map(|()| Reply::Done)
            .map_err(io::Error::from),
        Request::Sync => {
            rustix::fs::sync();
            Ok(Reply::Done)
        }
        Request::ReadFile { path } => read_file(&path).map(Reply::File),
        Request::WriteFile { path, mode, bytes } => {
            write_file(&path, mode, &bytes).map(|()| Reply::Done)
        }
        Request::Stat { path } => stat(&path).map(Reply::Stat),
        Request::PowerOff | Request::Reboot => Err(io::ErrorKind::Unsupported.into()),
    };
    outcome.map_err(|error| Failure {
        errno: error.raw_os_error().map(Errno),
        message: error.to_string(),
    })
}

fn mount_as_asked(asked: &Mount) -> io::Result<()> {
    fs::create_dir_all(&asked.target)?;
    let (flags, data) = split_options(&asked.options);
    let data = CString::new(data)?;
    mount(
        &*asked.source,
        &*asked.target,
        &*asked.fstype,
        flags,
        &*data,
    )?;
    Ok(())
}

/// Splits mount options into flags of mount(2) and options of the file system.
fn split_options(options: &str) -> (MountFlags, String) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        flags |= match option {
            "defaults" | "rw" => MountFlags::empty(),
            "ro" => MountFlags::RDONLY,
            "nosuid" => MountFlags::NOSUID,
            "nodev" => MountFlags::NODEV,
            "noexec" => MountFlags::NOEXEC,
            "sync" => MountFlags::SYNCHRONOUS,
            "dirsync" => MountFlags::DIRSYNC,
            "noatime" => MountFlags::NOATIME,
            "nodiratime" => MountFlags::NODIRATIME,
            "relatime" => MountFlags::RELATIME,
            "strictatime" => MountFlags::STRICTATIME,
            "lazytime" => MountFlags::LAZYTIME,
            other => {
                data.push(other);
                continue;
            }
        };
    }
    (flags, data.join(","))
}

fn read_file(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // The file's length is not used: files of /proc have none.
    File::open(path)?
        .take(MAX_FILE as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE {
        return Err(rustix::io::Errno::FBIG.into());
    }
    Ok(bytes)
}

fn write_file(path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)
}

fn stat(path: &str) -> io::Result<FileStat> {
    let seen = statx(
        CWD,
        path,
        AtFlags::SYMLINK_NOFOLLOW,
        StatxFlags::BASIC_STATS,
    )?;
    Ok(FileStat {
        mode: seen.stx_mode.into(),
        size: seen.stx_size,
        blocks: seen.stx_blocks,
        inode: seen.stx_ino,
        links: seen.stx_nlink,
        attributes: seen.stx_attributes.bits(),
        attributes_mask: seen.stx_attributes_mask.bits(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_flags_or_data() {
        let split = |options| split_options(options);
        assert_eq!(split(""), (MountFlags::empty(), String::new()));
        assert_eq!(
            split("ro,dax=inode,nosuid,x=1"),
            (
                MountFlags::RDONLY | MountFlags::NOSUID,
                "dax=inode,x=1".to_owned()
            )
        );
        assert_eq!(split("rw,dax"), (MountFlags::empty(), "dax".to_owned()));
    }

    #[test]
    fn a_failure_carries_the_errno() {
        let failure = perform(Request::Stat {
            path: "/no/such/file".into(),
        });
        assert_eq!(failure.unwrap_err().errno, Some(Errno(2)));
    }
}
