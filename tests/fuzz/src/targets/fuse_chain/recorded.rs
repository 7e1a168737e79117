// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Recorded sessions of the kernel's FUSE client with the daemon's request path.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use rustix::fs::{CWD, FallocateFlags, FileType, FlockOperation, Mode, XattrFlags};
use rustix::thread::UnshareFlags;

use super::kernel::Kernel;
use super::{Input, device};
use crate::fixture;
use crate::guest::fs::Options;
use crate::guest::queue::Queue;
use crate::guest::shape::Frame;
use crate::input::Program;
use crate::targets::Seed;

/// Room for any reply: Linux reads a directory 32 KiB at a time.
const ROOM: u16 = 0xc000;

/// The actions of a user of the share.
type Script = fn(&Path) -> io::Result<()>;

const SCRIPTS: [(&str, Options, Script); 8] = [
    ("list", Options::DEFAULT, list),
    ("read", Options::DEFAULT, read),
    ("write", Options::DEFAULT, write),
    ("names", Options::DEFAULT, names),
    ("attributes", WITH_XATTR, attributes),
    ("space", Options::DEFAULT, space),
    ("nodes", WITH_XATTR, nodes),
    ("writeback", WITH_WRITEBACK, write),
];

const WITH_XATTR: Options = Options {
    attributes: 0b0000_1111,
    files: 0b0000_1000,
};
const WITH_WRITEBACK: Options = Options {
    attributes: 0b0010_0000,
    files: 0b0001_0101,
};

/// Plays and records all sessions.
pub(super) fn seeds() -> Vec<Seed> {
    SCRIPTS
        .into_iter()
        .map(|(name, options, script)| {
            let input = record(options, script);
            Seed::new(name, &input)
        })
        .collect()
}

fn record(options: Options, script: Script) -> Input {
    let frames = fixture::run(|fixture| {
        let place = fixture.share_path().with_file_name("mount");
        let mut kernel = Kernel::mount(&place);
        let (departs, departed) = mpsc::channel();
        let user = thread::spawn(move || {
            // SAFETY: a separate root does not affect descriptors.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }.expect("its own root");
            departs.send(()).expect("the other thread waits");
            let played = script(&place);
            Kernel::end(&place);
            played
        });
        // From then on this thread has a root of its own, too.
        departed.recv().expect("the user's root");
        let frames = Queue::with(|queue| {
            let device = device(fixture, &options, queue.memory());
            queue.start(device.ring());
            let mut frames = Vec::new();
            while let Some(request) = kernel.request() {
                let frame = Frame::plain(request, ROOM);
                let chroot = fixture.enter_chroot();
                let offered = queue.offer(&frame);
                device.kick();
                drop(chroot);
                let len = queue.returned().first().expect("a return").1;
                kernel.reply(&queue.room(&offered)[..len as usize]);
                frames.push(frame);
            }
            frames
        });
        let played = user.join().expect("the user's thread");
        played.expect("what the user does");
        frames
    });
    Input {
        options,
        frames: Program(frames),
    }
}

fn list(share: &Path) -> io::Result<()> {
    for dir in ["", "dir", "dir/sub"] {
        for entry in fs::read_dir(share.join(dir))? {
            entry?.metadata()?;
        }
    }
    rustix::fs::statvfs(share)?;
    Ok(())
}

fn read(share: &Path) -> io::Result<()> {
    let mut file = File::open(share.join("dir/../file"))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    fs::read_link(share.join("link"))?;
    fs::read(share.join("link"))?;
    assert!(fs::metadata(share.join("nothing")).is_err());
    rustix::fs::flock(&file, FlockOperation::LockShared)?;
    Ok(())
}

fn write(share: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(share.join("dir/new"))?;
    file.write_all(b"some bytes")?;
    file.write_all_at(b"and some more, further behind", 5000)?;
    file.sync_all()?;
    file.sync_data()?;
    file.set_len(100)?;
    let mut appended = OpenOptions::new().append(true).open(share.join("file"))?;
    appended.write_all(b"the end")?;
    rustix::fs::syncfs(&file)?;
    Ok(())
}

fn names(share: &Path) -> io::Result<()> {
    fs::create_dir(share.join("made"))?;
    fs::rename(share.join("dir/file"), share.join("made/moved"))?;
    fs::hard_link(share.join("made/moved"), share.join("linked"))?;
    symlink("made/moved", share.join("symbolic"))?;
    let flags = rustix::fs::RenameFlags::EXCHANGE;
    rustix::fs::renameat_with(CWD, share.join("linked"), CWD, share.join("file"), flags)?;
    fs::remove_file(share.join("symbolic"))?;
    assert!(fs::remove_dir(share.join("made")).is_err());
    fs::remove_file(share.join("made/moved"))?;
    fs::remove_dir(share.join("made"))?;
    File::open(share)?.sync_all()
}

fn attributes(share: &Path) -> io::Result<()> {
    let file = share.join("file");
    rustix::fs::setxattr(&file, "user.new", b"value", XattrFlags::CREATE)?;
    let mut room = vec![0; 256];
    rustix::fs::getxattr(&file, "user.new", &mut room)?;
    rustix::fs::listxattr(&file, &mut room)?;
    rustix::fs::removexattr(&file, "user.new")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let owner = rustix::fs::Uid::from_raw(1000);
    rustix::fs::chown(&file, Some(owner), None)?;
    File::open(&file)?.set_modified(std::time::UNIX_EPOCH)?;
    Ok(())
}

fn space(share: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(share.join("large"))?;
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 8192)?;
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, punch, 4096, 4096)?;
    file.write_all_at(b"data", 0)?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0))?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(0))?;
    let other = OpenOptions::new().write(true).open(share.join("empty"))?;
    rustix::fs::copy_file_range(&file, None, &other, None, 4096)?;
    file.set_len(4096)?;
    Ok(())
}

fn nodes(share: &Path) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(CWD, share.join("pipe"), FileType::Fifo, mode, 0)?;
    rustix::fs::mknodat(CWD, share.join("plain"), FileType::RegularFile, mode, 0)?;
    let null = rustix::fs::makedev(1, 3);
    rustix::fs::mknodat(
        CWD,
        share.join("null"),
        FileType::CharacterDevice,
        mode,
        null,
    )?;
    rustix::fs::access(share.join("program"), rustix::fs::Access::EXEC_OK)?;
    for name in ["pipe", "plain", "null"] {
        fs::remove_file(share.join(name))?;
    }
    Ok(())
}
