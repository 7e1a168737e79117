// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A mapped page that the host can't supply doesn't end the VM. The guest reads zeros there, and
//! reads the file's bytes once the host can supply them again. `qemu/guard` does that. Without it
//! QEMU dies, unless a window is one memory region, where QEMU handles lost pages itself.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use qemu_guest::vm::process::Share;
use tempfile::TempDir;

use crate::lab::{Boot, Held, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// A file of several ranges.
const SIZE: u64 = 8 * MIB;
/// A page in the middle of the file.
const PLACE: u64 = 4 * MIB;
/// The promise is 100 ms on an idle machine. Here the guest may run under TCG, and is asked through
/// its agent.
const SEEN_AGAIN: Duration = Duration::from_secs(30);

pub const GROUP: Group = Group {
    name: "guard",
    tests: Tests::Alone(tests![Alone:
        every_way_to_take_a_page_without_the_guard,
        no_way_to_take_a_page_ends_the_vm,
        no_full_file_system_ends_the_vm,
        a_store_that_is_lost_fails_the_next_fsync,
    ]),
};

/// A way to take a page from under a mapping.
struct Way {
    name: &'static str,
    take: fn(&Files) -> Result<()>,
}

/// The paths of the file, and of another one.
struct Files {
    file: PathBuf,
    /// The file's path in a bind mount of the folder.
    other_name: PathBuf,
    /// A shorter file.
    shorter: PathBuf,
}

const WAYS: [Way; 4] = [
    Way {
        name: "truncate",
        take: |files| Ok(writable(&files.file)?.set_len(MIB)?),
    },
    Way {
        name: "O_TRUNC",
        take: |files| Ok(File::create(&files.file).map(drop)?),
    },
    Way {
        name: "cp",
        take: |files| run(Command::new("cp").arg(&files.shorter).arg(&files.file)),
    },
    Way {
        name: "another name",
        take: |files| Ok(writable(&files.other_name)?.set_len(MIB)?),
    },
];

/// A mount that is removed on drop.
struct Mounted {
    target: PathBuf,
    _folder: TempDir,
}

impl Mounted {
    /// Makes a folder, and calls `mount` with these arguments and the folder as the last one.
    fn new(arguments: impl FnOnce(&Path) -> Result<Vec<String>>) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("guest-tests-")
            .tempdir_in("/var/tmp")?;
        let target = folder.path().join("mounted");
        fs::create_dir(&target)?;
        let arguments = arguments(folder.path())?;
        run(Command::new("mount").args(arguments).arg(&target))?;
        Ok(Self {
            target,
            _folder: folder,
        })
    }

    fn tmpfs() -> Result<Self> {
        let words = ["-t", "tmpfs", "-o", "size=24m", "guest-tests"];
        Self::new(|_| Ok(words.map(str::to_owned).into()))
    }

    fn ext4() -> Result<Self> {
        Self::new(|folder| {
            let image = folder.join("image");
            File::create(&image)?.set_len(32 * MIB)?;
            run(Command::new("mkfs.ext4")
                .args(["-q", "-m", "0"])
                .arg(&image))?;
            Ok(vec!["-o".into(), "loop".into(), text(&image)])
        })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("-l").arg(&self.target)) {
            log::warn!("{error:#}");
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}

fn writable(path: &Path) -> Result<File> {
    Ok(File::options().write(true).open(path)?)
}

/// A guest with a mapping of the file, and the file's names. A second share has the same folder.
async fn mapped<'h>(host: &'h Host, guarded: bool) -> Result<(Lab<'h>, Files, Mounted)> {
    let plan = Plan::new("guard")?;
    let mut folder = PathBuf::new();
    let plan = plan.content(|dir| {
        folder = dir.to_owned();
        fs::write(dir.join("file"), vec![1; SIZE as usize])?;
        Ok(fs::write(dir.join("shorter"), vec![2; MIB as usize])?)
    })?;
    let bound = Mounted::new(|_| Ok(vec!["--bind".into(), text(&folder)]))?;
    let twin = Plan::new("twin")?.set(|share| Share {
        dir: folder.clone(),
        ..share
    });
    let parts = match guarded {
        true => host.parts.clone(),
        false => host.parts.clone().without_guard(),
    };
    let boot = Boot::with(plan).and(twin);
    let lab = Lab::start_with(host, &parts, boot).await?;
    let files = Files {
        file: folder.join("file"),
        other_name: bound.target.join("file"),
        shorter: folder.join("shorter"),
    };
    Ok((lab, files, bound))
}

/// Waits until the guest sees these bytes. Returns the time that took.
async fn await_bytes(held: &mut Held, offset: u64, bytes: &[u8]) -> Result<Duration> {
    let begin = Instant::now();
    loop {
        let found = held.read(offset, bytes.len()).await?;
        if found == bytes {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() > SEEN_AGAIN {
            bail!("offset {offset} is {found:x?}, not {bytes:x?}, after {SEEN_AGAIN:?}");
        }
    }
}

/// Without the library each way kills a QEMU that doesn't handle lost pages of its window itself.
async fn every_way_to_take_a_page_without_the_guard(host: &Host) -> Result<()> {
    // Each way costs a boot, so the first and the last stand for all of them.
    for way in [&WAYS[0], &WAYS[3]] {
        let (lab, files, _bound) = mapped(host, false).await?;
        let mut held = Held::new(&lab, "file", true).await?;
        held.expect(PLACE, &[1]).await?;
        (way.take)(&files).context(way.name)?;
        if host.has_one_region().await? {
            held.expect(PLACE, &[0]).await.context(way.name)?;
            fs::write(&files.file, vec![3; SIZE as usize])?;
            let seen = await_bytes(&mut held, PLACE, &[3]).await;
            seen.context(way.name)?;
            held.quit().await?;
            lab.end().await.context(way.name)?;
            continue;
        }
        held.begin_to_read(PLACE, 1).await?;
        lab.dies_of("signal: 7").await.context(way.name)?;
    }
    Ok(())
}

async fn no_way_to_take_a_page_ends_the_vm(host: &Host) -> Result<()> {
    let (lab, files, _bound) = mapped(host, true).await?;
    let mut held = Held::new(&lab, "file", true).await?;
    held.expect(PLACE, &[1]).await?;
    for (way, byte) in WAYS.iter().zip(3_u8..) {
        (way.take)(&files).context(way.name)?;
        held.expect(PLACE, &[0]).await.context(way.name)?;
        held.store(PLACE, &[0xee]).await?;
        held.expect(PLACE, &[0xee]).await.context(way.name)?;
        fs::write(&files.file, vec![byte; SIZE as usize])?;
        let seen = await_bytes(&mut held, PLACE, &[byte]).await;
        let took = seen.context(way.name)?;
        log::info!("{}: the file was seen again within {took:?}", way.name);
    }
    // Through another daemon: the guest's own second share stands for another VM.
    let twin = lab.share("twin").in_guest("file");
    lab.sh(&format!("truncate -s 1M {twin}")).await?;
    held.expect(PLACE, &[0]).await.context("another daemon")?;
    held.quit().await?;
    lab.end().await
}

async fn a_store_that_is_lost_fails_the_next_fsync(host: &Host) -> Result<()> {
    let (lab, files, _bound) = mapped(host, true).await?;
    let mut held = Held::new(&lab, "file", true).await?;
    ensure!(held.fsync().await?, "nothing is lost yet");
    // busybox's dd closes a duplicate of the descriptor before it makes the request.
    let dd = format!(
        "dd if=/dev/null of={} conv=notrunc,fsync 2>/dev/null && echo synced || echo failed",
        lab.first().in_guest("file")
    );
    for round in ["by the program", "by dd"] {
        fs::write(&files.file, vec![1; SIZE as usize])?;
        await_bytes(&mut held, PLACE, &[1]).await.context(round)?;
        (WAYS[0].take)(&files)?;
        held.expect(PLACE, &[0]).await.context(round)?;
        ensure!(held.fsync().await?, "a load is no loss");
        held.store(PLACE, &[0xee]).await?;
        let synced = match round {
            "by dd" => lab.sh(&dd).await? == "synced",
            _ => held.fsync().await?,
        };
        ensure!(!synced, "{round}: the fsync succeeded");
        ensure!(held.fsync().await?, "it is told once");
    }
    held.quit().await?;
    lab.end().await
}

async fn no_full_file_system_ends_the_vm(host: &Host) -> Result<()> {
    let (memory, disk) = (Mounted::tmpfs()?, Mounted::ext4()?);
    let mut boot = Boot::default();
    for (tag, place) in [("memory", &memory), ("disk", &disk)] {
        let file = File::create(place.target.join("file"))?;
        file.set_len(SIZE)?;
        file.write_all_at(b"begin", 0)?;
        file.sync_all()?;
        boot = boot.and(Plan::new(tag)?.set(|share| Share {
            dir: place.target.clone(),
            ..share
        }));
    }
    let lab = host.boot(boot).await?;
    for (tag, place) in [("memory", &memory), ("disk", &disk)] {
        let mut held = Held::of(&lab, tag, "file", true).await?;
        held.expect(0, b"begin").await?;
        let filler = fill_up(&place.target)?;
        held.expect(PLACE, &[0]).await.context(tag)?;
        held.store(PLACE, &[0xee]).await.context(tag)?;
        held.expect(PLACE, &[0xee]).await.context(tag)?;
        held.expect(0, b"begin").await.context(tag)?;
        fs::remove_file(filler)?;
        writable(&place.target.join("file"))?.write_all_at(&[7], PLACE)?;
        await_bytes(&mut held, PLACE, &[7]).await.context(tag)?;
        held.quit().await?;
    }
    lab.end().await
}

/// Writes a file until the file system is full.
fn fill_up(folder: &Path) -> Result<PathBuf> {
    let filler = folder.join("filler");
    let mut file = File::create(&filler)?;
    for block in [MIB as usize, 4096, 1] {
        let bytes = vec![1; block];
        while file
            .write_all(&bytes)
            .and_then(|()| file.sync_data())
            .is_ok()
        {}
    }
    Ok(filler)
}
