// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a view shows of a file, and that it never changes the file.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use libtest_mimic::Failed;
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use shared_window::{Access, FileOffset, ProcessWindow, ViewSource, Vmm, WindowOffset, WindowSize};
use tempfile::TempDir;

use crate::Bench;

/// What a Linux guest maps at once.
const RANGE: u64 = shared_window::LINUX_RANGE;

const SIZES: [u64; 10] = [
    0,
    1,
    4095,
    4096,
    4097,
    RANGE - 1,
    RANGE,
    RANGE + 1,
    3 * RANGE + 7,
    8 << 20,
];

pub(crate) type PlacedTest = fn(&Bench, Place) -> Result<(), Failed>;

pub(crate) const TESTS: &[(&str, PlacedTest)] = &[
    ("a_view_shows_the_file_and_leaves_it_alone", shows_the_file),
    (
        "stores_through_a_view_reach_the_file",
        stores_reach_the_file,
    ),
    ("a_file_that_grows_shows_in_its_view", growth_shows),
    ("a_view_changes_no_size", changes_no_size),
    ("another_user_can_use_a_view", another_user),
];

/// A file system of this host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Disk,
    Memory,
    Overlay,
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [Self::Disk, Self::Memory, Self::Overlay];

    /// An empty folder there.
    fn folder(self) -> io::Result<Folder> {
        match self {
            Self::Disk => Folder::plain("/var/tmp"),
            Self::Memory => Folder::plain("/dev/shm"),
            Self::Overlay => Folder::overlay(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "disk",
            Self::Memory => "tmpfs",
            Self::Overlay => "overlayfs",
        })
    }
}

/// A folder that is gone with the value.
pub(crate) struct Folder {
    root: OwnedFd,
    _dirs: TempDir,
}

impl Folder {
    fn plain(parent: &str) -> io::Result<Self> {
        let dirs = tempfile::tempdir_in(parent)?;
        Ok(Self {
            root: File::open(dirs.path())?.into(),
            _dirs: dirs,
        })
    }

    pub(crate) fn overlay() -> io::Result<Self> {
        let dirs = tempfile::tempdir_in("/var/tmp")?;
        Ok(Self {
            root: overlay_in(dirs.path(), "")?,
            _dirs: dirs,
        })
    }

    /// An overlayfs whose lower layer is an overlayfs, as deep as the kernel stacks.
    pub(crate) fn overlay_on_overlay() -> io::Result<Self> {
        let dirs = tempfile::tempdir_in("/var/tmp")?;
        let lower = overlay_in(dirs.path(), "lower-")?;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&lower));
        let (upper, work) = layers(dirs.path(), "upper-")?;
        Ok(Self {
            root: mount_overlay(&path, &upper, &work)?,
            _dirs: dirs,
        })
    }

    /// A new file of `size` bytes, no two pages of it alike.
    pub(crate) fn file(&self, size: u64) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let name = format!("file-{size}");
        let file: File = rustix::fs::openat(&self.root, name, flags, Mode::from(0o600))?.into();
        file.write_all_at(&content(size), 0)?;
        Ok(file)
    }
}

fn overlay_in(dir: &Path, prefix: &str) -> io::Result<OwnedFd> {
    let lower = dir.join(format!("{prefix}lower"));
    fs::create_dir(&lower)?;
    let (upper, work) = layers(dir, prefix)?;
    mount_overlay(&lower.to_string_lossy(), &upper, &work)
}

fn layers(dir: &Path, prefix: &str) -> io::Result<(String, String)> {
    let make = |name: &str| {
        let path = dir.join(format!("{prefix}{name}"));
        fs::create_dir(&path).map(|()| path.to_string_lossy().into_owned())
    };
    Ok((make("upper")?, make("work")?))
}

/// Mounts an overlayfs that is attached nowhere.
fn mount_overlay(lower: &str, upper: &str, work: &str) -> io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "lowerdir", lower)?;
    fsconfig_set_string(&context, "upperdir", upper)?;
    fsconfig_set_string(&context, "workdir", work)?;
    fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(fsmount(&context, flags, MountAttrFlags::empty())?)
}

fn content(size: u64) -> Vec<u8> {
    (0..size).map(|at| (at % 251 + at / 4096) as u8).collect()
}

/// A window of this process that holds one range of a view.
fn map(view: BorrowedFd<'_>, from: u64) -> Result<ProcessWindow, Failed> {
    let window = ProcessWindow::new(WindowSize::new(RANGE)?)?;
    window.map(
        WindowOffset(0),
        RANGE,
        view,
        FileOffset(from),
        Access::ReadWrite,
    )?;
    Ok(window)
}

fn shows_the_file(bench: &Bench, place: Place) -> Result<(), Failed> {
    let folder = place.folder()?;
    for size in SIZES {
        let file = folder.file(size)?;
        let view = bench
            .companion
            .client
            .open(file.as_fd(), Access::ReadWrite)?;
        let expected = content(size);
        for from in (0..size.max(1)).step_by(RANGE as usize) {
            let window = map(view.as_fd(), from)?;
            let mut seen = vec![0; (size - from).min(RANGE) as usize];
            if !seen.is_empty() {
                window.read(WindowOffset(0), &mut seen)?;
            }
            if seen != expected[from as usize..][..seen.len()] {
                return Err(format!("size {size}: the range at {from} differs").into());
            }
        }
        if file.metadata()?.size() != size {
            return Err(
                format!("a file of {size} bytes is {} now", file.metadata()?.size()).into(),
            );
        }
        let mut after = vec![0; size as usize];
        file.read_exact_at(&mut after, 0)?;
        if after != expected {
            return Err(format!("the content of the file of {size} bytes has changed").into());
        }
    }
    Ok(())
}

fn stores_reach_the_file(bench: &Bench, place: Place) -> Result<(), Failed> {
    let file = place.folder()?.file(4097)?;
    let view = bench
        .companion
        .client
        .open(file.as_fd(), Access::ReadWrite)?;
    let window = map(view.as_fd(), 0)?;
    window.write(WindowOffset(4090), b"through")?;
    let mut read = [0; 7];
    file.read_exact_at(&mut read, 4090)?;
    assert_eq!(
        &read, b"through",
        "the file's reader sees the store at once"
    );
    file.write_all_at(b"back", 100)?;
    let mut seen = [0; 4];
    window.read(WindowOffset(100), &mut seen)?;
    assert_eq!(&seen, b"back", "the mapping sees the file's writer at once");
    assert_eq!(file.metadata()?.size(), 4097);
    Ok(())
}

fn growth_shows(bench: &Bench, place: Place) -> Result<(), Failed> {
    let file = place.folder()?.file(0)?;
    let view = bench
        .companion
        .client
        .open(file.as_fd(), Access::ReadWrite)?;
    let window = map(view.as_fd(), 0)?;
    assert_eq!(
        file.metadata()?.size(),
        0,
        "mapping an empty file leaves it empty"
    );
    file.write_all_at(b"late", RANGE - 4)?;
    let mut seen = [0; 4];
    window.read(WindowOffset(RANGE - 4), &mut seen)?;
    assert_eq!(&seen, b"late");
    Ok(())
}

fn changes_no_size(bench: &Bench, place: Place) -> Result<(), Failed> {
    let file = place.folder()?.file(5000)?;
    let view = bench
        .companion
        .client
        .open(file.as_fd(), Access::ReadWrite)?;
    for size in [0, 4096, 1 << 30] {
        assert_eq!(rustix::fs::ftruncate(&view, size), Err(Errno::PERM));
    }
    let mode = FallocateFlags::empty();
    assert_eq!(
        rustix::fs::fallocate(&view, mode, 0, 1 << 20),
        Err(Errno::PERM)
    );
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert_eq!(
        rustix::fs::fallocate(&view, punch, 0, 4096),
        Err(Errno::PERM)
    );
    let mut view = File::from(view);
    let told = view.metadata()?.size();
    assert_eq!(view.seek(SeekFrom::End(0))?, told);
    assert!(told > 1 << 60, "a view tells {told} bytes");
    assert_eq!(file.metadata()?.size(), 5000);
    Ok(())
}

fn another_user(bench: &Bench, place: Place) -> Result<(), Failed> {
    let file = place.folder()?.file(4096)?;
    let view = bench
        .companion
        .client
        .open(file.as_fd(), Access::ReadWrite)?;
    if !bench.stranger.can_use(view.as_fd())? {
        return Err("the other user can't; see its message".into());
    }
    let mut read = [0; 4];
    file.read_exact_at(&mut read, 8)?;
    assert_eq!(&read, STRANGERS_MARK);
    Ok(())
}

const STRANGERS_MARK: &[u8; 4] = b"mine";

/// Uses a view as a VMM does: stat, seek to the end, map, load and store.
pub(crate) fn look(view: BorrowedFd<'_>) -> io::Result<()> {
    let told = rustix::fs::fstat(view)?.st_size;
    let end = rustix::fs::seek(view, rustix::fs::SeekFrom::End(0))?;
    if i64::try_from(end) != Ok(told) {
        return Err(io::Error::other(format!(
            "size {told}, but the end is at {end}"
        )));
    }
    let window = map(view, 0).map_err(|failed| {
        io::Error::other(
            failed
                .message()
                .unwrap_or("the view can't be mapped")
                .to_owned(),
        )
    })?;
    let mut first = [0; 4096];
    window
        .read(WindowOffset(0), &mut first)
        .and_then(|()| window.write(WindowOffset(8), STRANGERS_MARK))
        .map_err(io::Error::other)?;
    match first[..] == content(4096) {
        true => Ok(()),
        false => Err(io::Error::other("the first page is not what it should be")),
    }
}

pub(crate) fn send_descriptor(socket: &UnixStream, descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let bytes = [IoSlice::new(b"v")];
    rustix::net::sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next descriptor, or `None` when the other end is closed.
pub(crate) fn receive_descriptor(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut bytes = [IoSliceMut::new(&mut byte)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket, &mut bytes, &mut control, flags)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor
        .map(Some)
        .ok_or_else(|| io::Error::other("a byte came without a descriptor"))
}
