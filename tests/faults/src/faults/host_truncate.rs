// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Programs of the host that truncate a file which the guest has mapped, under
//! `--host-truncate=refuse`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use virtiofs_driver::{FileOffset, Handle};

use super::reached::{Role, process};
use crate::checks::bytes;
use crate::fault::{Fault, Setting};
use crate::host::Small;
use crate::model::{FileId, Slot};
use crate::rig::{Rig, RigOptions, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new(
        "host_truncate::a_mapped_file_is_busy_to_others",
        |setting| mapped(setting, busy),
    ),
    Fault::new(
        "host_truncate::the_guest_truncates_all_the_same",
        |setting| mapped(setting, by_the_guest),
    ),
    Fault::new("host_truncate::what_is_unmapped_is_free", |setting| {
        mapped(setting, unmapped)
    }),
    Fault::new("host_truncate::many_at_once", |setting| {
        mapped(setting, many_at_once)
    }),
    Fault::new(
        "host_truncate::a_companion_that_is_killed_lets_all_through",
        |setting| mapped(setting, killed),
    ),
    Fault::new("host_truncate::a_file_system_that_can_t_is_named", on_tmpfs),
    Fault::new("host_truncate::by_default_all_is_allowed", by_default),
    Fault::new(
        "host_truncate::another_vm_is_one_of_the_others",
        |setting| mapped(setting, |mapped| another_vm(setting, mapped)),
    ),
];

const SIZE: usize = 100_000;
const PAGE: u64 = 4096;
const SLOT: Slot = Slot(1);
/// How often the guest maps, truncates and unmaps while other programs of the host use the file.
const ROUNDS: usize = 100;

/// Runs a test with a mapped file, on a host that supports this.
fn mapped(setting: &Setting, play: impl FnOnce(Mapped) -> Result<()>) -> Result<()> {
    Mapped::start(setting)?.map_or(Ok(()), play)
}

/// A mapped file, and the host's handles of it.
struct Mapped {
    rig: Rig,
    file: FileId,
    path: PathBuf,
    /// Opened before it was mapped.
    opened_before: File,
}

impl Mapped {
    /// `None` on a host without the support, which the daemon logs.
    fn start(setting: &Setting) -> Result<Option<Self>> {
        let options = RigOptions::default().arg("--host-truncate=refuse");
        let mut rig = Rig::start(setting, &options)?;
        if let Some(reason) = said(&rig) {
            eprintln!("SKIP: {reason}");
            return Ok(None);
        }
        let file = rig.create(0, SIZE)?;
        let path = rig.daemon.share().join(&rig.files.get(file).name);
        let opened_before = File::options().read(true).write(true).open(&path)?;
        rig.map(0, file, 0, SLOT)?;
        Ok(Some(Self {
            rig,
            file,
            path,
            opened_before,
        }))
    }
}

/// The daemon's message at the start, if the host lacks the support.
fn said(rig: &Rig) -> Option<String> {
    let log = rig.daemon.log();
    let line = log.lines().find(|line| line.contains("--host-truncate"))?;
    Some(line.to_owned())
}

fn truncate(path: &Path, size: u64) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: the path is a C string.
    match unsafe { libc::truncate(path.as_ptr(), size.cast_signed()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn expect_busy(what: &str, done: io::Result<()>) -> Result<()> {
    match done {
        Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => Ok(()),
        other => bail!("{what}: {other:?}, not ETXTBSY"),
    }
}

/// Runs a program that has to fail for that reason.
fn expect_busy_program(what: &str, program: &mut Command) -> Result<()> {
    let output = program.env("LC_ALL", "C").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        !output.status.success() && said.contains("Text file busy"),
        "{what}: {}, {said:?}",
        output.status
    );
    Ok(())
}

fn busy(
    Mapped {
        mut rig,
        file,
        path,
        opened_before,
    }: Mapped,
) -> Result<()> {
    let opened_since = File::options().read(true).write(true).open(&path)?;
    expect_busy("truncate(2)", truncate(&path, 0))?;
    expect_busy("truncate(2) to a page", truncate(&path, PAGE))?;
    expect_busy("ftruncate(2)", opened_since.set_len(5))?;
    expect_busy("ftruncate(2) of one before", opened_before.set_len(5))?;
    expect_busy("O_TRUNC", File::create(&path).map(drop))?;
    let other = rig.daemon.share().join("other");
    fs::write(&other, "other")?;
    expect_busy_program("cp", Command::new("cp").arg(&other).arg(&path))?;
    let redirect = format!(": > '{}'", path.display());
    expect_busy_program("sh", Command::new("sh").args(["-c", &redirect]))?;
    let collapse = libc::FALLOC_FL_COLLAPSE_RANGE.cast_unsigned();
    let collapse = rustix::fs::FallocateFlags::from_bits_retain(collapse);
    let done = rustix::fs::fallocate(&opened_since, collapse, 0, PAGE);
    expect_busy("a collapse", done.map_err(io::Error::from))?;
    rig.load(SLOT)?;

    // A truncate that takes no mapped page succeeds.
    truncate(&path, SIZE as u64)?;
    truncate(&path, SIZE as u64 + 100)?;
    opened_since.set_len(SIZE as u64)?;
    let grown = SIZE + 3 * PAGE as usize;
    truncate(&path, grown as u64)?;
    rig.files.get_mut(file).bytes.resize(grown, 0);
    opened_since.write_all_at(b"written by the host", 50_000)?;
    rig.files.get_mut(file).put(50_000, b"written by the host");
    let read = fs::read(&path)?;
    bytes::compare("read by the host", &read, &rig.files.get(file).bytes)?;
    rig.load(SLOT)?;
    fs::remove_file(&other)?;
    rig.finish()
}

fn by_the_guest(Mapped { mut rig, file, .. }: Mapped) -> Result<()> {
    rig.truncate(0, file, PAGE as usize)?;
    let more = rig.random(SIZE);
    rig.write(1, file, 0, &more)?;
    rig.load(SLOT)?;
    let (node, how) = (rig.files.get(file).node, libc::O_RDWR | libc::O_TRUNC);
    let open = rig.clients[1].open(node, how)?;
    rig.files.get_mut(file).bytes.clear();
    rig.clients[1].release(node, Handle(open.fh))?;
    rig.write(0, file, 0, &more)?;
    rig.load(SLOT)?;
    rig.finish()
}

fn unmapped(
    Mapped {
        mut rig,
        file,
        path,
        ..
    }: Mapped,
) -> Result<()> {
    expect_busy("truncate(2)", truncate(&path, PAGE))?;
    rig.unmap(0, SLOT)?;
    // The view is closed through the companion, after the guest has its answer.
    rig.watch.step("the file becomes free");
    while let Err(error) = truncate(&path, PAGE) {
        expect_busy("truncate(2)", Err(error))?;
        ensure!(!rig.watch.expired(), "it is busy for good");
        thread::yield_now();
    }
    rig.files.get_mut(file).bytes.truncate(PAGE as usize);
    rig.read(0, file, 0, SIZE)?;
    // The file becomes busy again.
    rig.map(1, file, 0, SLOT)?;
    expect_busy("truncate(2), mapped again", truncate(&path, 0))?;
    rig.finish()
}

/// Events of the guest's requests, of views, and of other processes, all at once.
fn many_at_once(
    Mapped {
        mut rig,
        file,
        path,
        opened_before,
    }: Mapped,
) -> Result<()> {
    let over = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        let host = scope.spawn(|| -> Result<usize> {
            let mut rounds = 0;
            while !over.load(Ordering::Relaxed) {
                // Truncates to a size that the file is never below, so that no page is taken.
                let opened = File::options().read(true).write(true).open(&path)?;
                opened.read_at(&mut [0; 100], 0)?;
                opened_before.read_at(&mut [0; 100], 0)?;
                expect_busy("O_TRUNC", File::create(&path).map(drop))?;
                rounds += 1;
            }
            Ok(rounds)
        });
        let done = guest_rounds(&mut rig, file);
        over.store(true, Ordering::Relaxed);
        let rounds = host.join().map_err(|_| anyhow::anyhow!("a panic"))??;
        ensure!(rounds > 0, "the host did nothing");
        done
    });
    done?;
    rig.finish()
}

fn guest_rounds(rig: &mut Rig, file: FileId) -> Result<()> {
    for round in 0..ROUNDS {
        // The first mapping stays, so that the file is busy all the time.
        let slot = Slot(2 + round as u64 % 4);
        rig.map(round % 2, file, 0, slot)?;
        rig.store(slot, 10, 3000)?;
        rig.reopen(0, file)?;
        rig.truncate(0, file, SIZE / 2)?;
        rig.write(1, file, SIZE / 2, &vec![1; SIZE / 2])?;
        rig.load(slot)?;
        rig.unmap(1, slot)?;
    }
    Ok(())
}

fn killed(
    Mapped {
        mut rig,
        file,
        path,
        opened_before,
    }: Mapped,
) -> Result<()> {
    let companion = process(&rig.daemon, Role::Companion)?;
    rig.daemon.signal(companion, Signal::STOP)?;
    // A program that waits for the answer of a stopped process.
    let mut program = Command::new("truncate");
    let program = program.arg("--size=70000").arg(&path);
    let mut waiting = program.stdin(Stdio::null()).spawn()?;
    rig.watch.step("a truncation waits");
    let call = format!("/proc/{}/syscall", waiting.id());
    let is_at_it = || {
        let line = fs::read_to_string(&call).unwrap_or_default();
        // Truncate of coreutils opens the file first, and the open needs an answer.
        line.starts_with(&format!("{} ", libc::SYS_openat)) && sleeps(waiting.id())
    };
    while !is_at_it() {
        ensure!(!rig.watch.expired(), "no truncation waits");
        thread::yield_now();
    }
    ensure!(fs::metadata(&path)?.len() == SIZE as u64, "it is truncated");
    rig.daemon.signal(companion, Signal::KILL)?;
    rig.watch.step("what waited goes on");
    let status = waiting.wait()?;
    ensure!(status.success(), "truncate: {status}");
    ensure!(fs::metadata(&path)?.len() == 70_000, "it was not truncated");
    opened_before.set_len(60_000)?;
    truncate(&path, 50_000)?;
    rig.files.get_mut(file).bytes.truncate(50_000);
    rig.load(SLOT)?;
    rig.read(0, file, 0, SIZE)?;
    rig.leave()
}

/// Whether a process sleeps.
fn sleeps(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    state.starts_with(['S', 'D'])
}

fn on_tmpfs(setting: &Setting) -> Result<()> {
    let small = Small::mount(16 << 20)?;
    let mut rig = Rig::start(
        setting,
        &RigOptions::on(small.share()).arg("--host-truncate=refuse"),
    )?;
    let said = said(&rig).context("the log says nothing of it")?;
    ensure!(said.contains("refuses nothing here"), "{said}");
    allowed(&mut rig)?;
    rig.finish()
}

fn by_default(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    ensure!(said(&rig).is_none(), "{:?}", said(&rig));
    allowed(&mut rig)?;
    rig.finish()
}

/// The host can truncate a mapped file.
fn allowed(rig: &mut Rig) -> Result<()> {
    let file = rig.create(0, SIZE)?;
    let path = rig.daemon.share().join(&rig.files.get(file).name);
    rig.map(0, file, 0, SLOT)?;
    truncate(&path, PAGE)?;
    rig.files.get_mut(file).bytes.truncate(PAGE as usize);
    rig.load(SLOT)
}

/// A second VM with the same share, whose own daemon refuses no truncate.
fn another_vm(setting: &Setting, Mapped { mut rig, file, .. }: Mapped) -> Result<()> {
    let mut other = Rig::start(setting, &RigOptions::on(rig.daemon.share()))?;
    let client = &mut other.clients[0];
    let node = client.node(&rig.files.get(file).name)?;
    let done = client.truncate(node, None, FileOffset(0));
    expect_errno(done, libc::ETXTBSY, "SETATTR")?;
    let done = client.open(node, libc::O_RDWR | libc::O_TRUNC);
    expect_errno(done, libc::ETXTBSY, "OPEN")?;
    let open = client.open(node, libc::O_RDWR)?;
    client.write_slice(node, Handle(open.fh), FileOffset(10), b"of another VM")?;
    rig.files.get_mut(file).put(10, b"of another VM");
    rig.load(SLOT)?;
    other.leave()?;
    rig.finish()
}
