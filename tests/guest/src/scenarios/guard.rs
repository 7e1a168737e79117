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
use qemu_guest::vm::WindowKind;
use qemu_guest::vm::process::Share;

use crate::lab::{Boot, Held, Host, Lab, Mounted, Plan, run};
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

/// Of shares with the same folder. The second one's daemon stands for another VM's.
const TAGS: [&str; 2] = ["guard", "twin"];
/// Shares with a small file system of their own.
const SMALL: [&str; 2] = ["memory", "disk"];

pub const GROUP: Group = Group {
    name: "guard",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario:
            no_way_to_take_a_page_ends_the_vm,
            no_full_file_system_ends_the_vm,
            a_store_that_is_lost_fails_the_next_fsync,
        ],
    },
};

pub const WITHOUT: Group = Group {
    name: "guard",
    tests: Tests::Alone(tests![Alone:
        every_way_to_take_a_page_without_the_guard,
        a_qemu_with_one_region_needs_no_guard,
    ]),
};

fn boot() -> Result<Boot> {
    let [memory, disk] = SMALL;
    Ok(twins()?
        .and(Plan::new(memory)?.on(Mounted::tmpfs()?))
        .and(Plan::new(disk)?.on(Mounted::ext4()?)))
}

fn twins() -> Result<Boot> {
    let [first, second] = TAGS;
    let mut folder = PathBuf::new();
    let plan = Plan::new(first)?.content(|dir| {
        folder = dir.to_owned();
        Ok(())
    })?;
    let twin = Plan::new(second)?.set(|share| Share {
        dir: folder,
        ..share
    });
    Ok(Boot::with(plan).and(twin))
}

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
    _bound: Mounted,
}

impl Files {
    /// Makes a file of this name in the first share, and a shorter one.
    fn new(lab: &Lab<'_>, name: &str) -> Result<Self> {
        let folder = lab.first().folder();
        let bound = Mounted::bind(folder)?;
        let files = Self {
            file: folder.join(name),
            other_name: bound.target().join(name),
            shorter: folder.join("shorter"),
            _bound: bound,
        };
        files.fill(1)?;
        fs::write(&files.shorter, vec![2; MIB as usize])?;
        Ok(files)
    }

    /// Writes the file anew.
    fn fill(&self, byte: u8) -> Result<()> {
        Ok(fs::write(&self.file, vec![byte; SIZE as usize])?)
    }
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

/// The first and the last stand for all of them where each costs a boot.
const FEW_WAYS: [&Way; 2] = [&WAYS[0], &WAYS[3]];

fn writable(path: &Path) -> Result<File> {
    Ok(File::options().write(true).open(path)?)
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
    host.only_with(WindowKind::Regions).await?;
    for way in FEW_WAYS {
        let (lab, mut held, files) = without_guard(host).await?;
        (way.take)(&files).context(way.name)?;
        held.begin_to_read(PLACE, 1).await?;
        lab.dies_of("signal: 7").await.context(way.name)?;
    }
    Ok(())
}

/// A QEMU with one region lives, and the file is seen again.
async fn a_qemu_with_one_region_needs_no_guard(host: &Host) -> Result<()> {
    host.only_with(WindowKind::OneRegion).await?;
    let (lab, mut held, files) = without_guard(host).await?;
    for (way, byte) in FEW_WAYS.iter().zip(3_u8..) {
        (way.take)(&files).context(way.name)?;
        held.expect(PLACE, &[0]).await.context(way.name)?;
        files.fill(byte)?;
        let seen = await_bytes(&mut held, PLACE, &[byte]).await;
        seen.context(way.name)?;
    }
    held.quit().await?;
    lab.end().await
}

async fn without_guard(host: &Host) -> Result<(Lab<'_>, Held, Files)> {
    let parts = host.parts.clone().without_guard();
    let lab = Lab::start_with(host, &parts, twins()?).await?;
    let files = Files::new(&lab, "file")?;
    let mut held = Held::new(&lab, "file", true).await?;
    held.expect(PLACE, &[1]).await?;
    Ok((lab, held, files))
}

async fn no_way_to_take_a_page_ends_the_vm(lab: &Lab<'_>) -> Result<()> {
    let files = Files::new(lab, "taken")?;
    let mut held = Held::new(lab, "taken", true).await?;
    held.expect(PLACE, &[1]).await?;
    for (way, byte) in WAYS.iter().zip(3_u8..) {
        (way.take)(&files).context(way.name)?;
        held.expect(PLACE, &[0]).await.context(way.name)?;
        held.store(PLACE, &[0xee]).await?;
        held.expect(PLACE, &[0xee]).await.context(way.name)?;
        files.fill(byte)?;
        let seen = await_bytes(&mut held, PLACE, &[byte]).await;
        let took = seen.context(way.name)?;
        log::info!("{}: the file was seen again within {took:?}", way.name);
    }
    // Through another daemon.
    let twin = lab.share(TAGS[1]).in_guest("taken");
    lab.sh(&format!("truncate -s 1M {twin}")).await?;
    held.expect(PLACE, &[0]).await.context("another daemon")?;
    held.quit().await
}

async fn a_store_that_is_lost_fails_the_next_fsync(lab: &Lab<'_>) -> Result<()> {
    let files = Files::new(lab, "lost")?;
    let mut held = Held::new(lab, "lost", true).await?;
    ensure!(held.fsync().await?, "nothing is lost yet");
    // busybox's dd closes a duplicate of the descriptor before it makes the request.
    let dd = format!(
        "dd if=/dev/null of={} conv=notrunc,fsync 2>/dev/null && echo synced || echo failed",
        lab.first().in_guest("lost")
    );
    for round in ["by the program", "by dd"] {
        files.fill(1)?;
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
    held.quit().await
}

async fn no_full_file_system_ends_the_vm(lab: &Lab<'_>) -> Result<()> {
    for tag in SMALL {
        let folder = lab.share(tag).folder();
        let file = File::create(folder.join("file"))?;
        file.set_len(SIZE)?;
        file.write_all_at(b"begin", 0)?;
        file.sync_all()?;
        let mut held = Held::of(lab, tag, "file", true).await?;
        held.expect(0, b"begin").await?;
        let filler = fill_up(folder)?;
        held.expect(PLACE, &[0]).await.context(tag)?;
        held.store(PLACE, &[0xee]).await.context(tag)?;
        held.expect(PLACE, &[0xee]).await.context(tag)?;
        held.expect(0, b"begin").await.context(tag)?;
        fs::remove_file(filler)?;
        writable(&folder.join("file"))?.write_all_at(&[7], PLACE)?;
        await_bytes(&mut held, PLACE, &[7]).await.context(tag)?;
        held.quit().await?;
    }
    Ok(())
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
