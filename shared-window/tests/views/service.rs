// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The service itself: what it refuses, what it costs, what is left when it ends.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use shared_window::{
    Access, FileOffset, ProcessWindow, Unavailable, ViewError, ViewSource, Vmm, WindowOffset,
    WindowSize,
};

use crate::Bench;
use crate::files::Folder;
use crate::processes::Companion;

/// How long a server may take to hear that a view has gone, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) type ServiceTest = fn(&Bench) -> Result<(), Failed>;

pub(crate) const TESTS: &[(&str, ServiceTest)] = &[
    ("a_view_opens_once_and_with_no_more_access", opens_once),
    ("a_descriptor_without_the_right_gets_no_view", no_right),
    (
        "file_systems_stacked_too_deep_are_refused",
        stacked_too_deep,
    ),
    (
        "threads_share_a_client_and_slots_are_used_again",
        many_views,
    ),
    ("the_mount_is_attached_nowhere", attached_nowhere),
    ("a_companion_keeps_one_capability", one_capability),
    ("a_file_with_a_view_is_busy_to_others", guarded),
    (
        "a_killed_companion_is_noticed_and_leaves_mappings",
        killed_companion,
    ),
];

pub(crate) fn hosts_that_cannot(refused: Vec<(&str, Result<(), ViewError>)>) -> Result<(), Failed> {
    for (lacks, outcome) in refused {
        let error = outcome.expect_err(lacks);
        if !matches!(error, ViewError::Unavailable(Unavailable::NotPermitted)) {
            return Err(format!("without its {lacks} a companion says: {error:?}").into());
        }
        assert!(error.to_string().contains("CAP_SYS_ADMIN"), "{error}");
    }
    Ok(())
}

fn opens_once(bench: &Bench) -> Result<(), Failed> {
    let file = tempfile::tempfile()?;
    for access in [Access::ReadOnly, Access::ReadWrite] {
        let view = bench.companion.client.open(file.as_fd(), access)?;
        let path = format!("/proc/self/fd/{}", view.as_raw_fd());
        for mode in [OFlags::RDONLY, OFlags::RDWR, OFlags::WRONLY] {
            let again = rustix::fs::open(&path, mode, Mode::empty());
            assert_eq!(
                again.map(drop),
                Err(Errno::ACCESS),
                "{access:?} again as {mode:?}"
            );
        }
    }
    Ok(())
}

fn no_right(bench: &Bench) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("file");
    fs::write(&path, "content")?;
    let read_only = File::open(&path)?;
    let client = &bench.companion.client;
    let error = client
        .open(read_only.as_fd(), Access::ReadWrite)
        .unwrap_err();
    assert!(
        matches!(error, ViewError::NotAllowed(Access::ReadWrite)),
        "{error}"
    );

    let view = client.open(read_only.as_fd(), Access::ReadOnly)?;
    assert_eq!(rustix::io::pwrite(&view, b"x", 0), Err(Errno::BADF));
    let window = ProcessWindow::new(WindowSize::new(4096)?)?;
    let map = |access| window.map(WindowOffset(0), 4096, view.as_fd(), FileOffset(0), access);
    map(Access::ReadWrite).unwrap_err();
    map(Access::ReadOnly)?;
    let error = client
        .open(File::open("/")?.as_fd(), Access::ReadOnly)
        .unwrap_err();
    assert!(matches!(error, ViewError::NotRegular), "{error}");
    Ok(())
}

fn stacked_too_deep(bench: &Bench) -> Result<(), Failed> {
    let file = Folder::overlay_on_overlay()?.file(4096)?;
    let opened = bench.companion.client.open(file.as_fd(), Access::ReadWrite);
    let error = opened.map(drop).unwrap_err();
    assert!(matches!(error, ViewError::StackedTooDeep), "{error:?}");
    Ok(())
}

fn many_views(bench: &Bench) -> Result<(), Failed> {
    const THREADS: usize = 8;
    const ROUNDS: usize = 250;
    let client = &bench.companion.client;
    let began = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                scope.spawn(move || -> Result<(), Failed> {
                    let file = tempfile::tempfile()?;
                    file.write_all_at(&[worker as u8; 16], 0)?;
                    for _ in 0..ROUNDS {
                        let view = File::from(client.open(file.as_fd(), Access::ReadWrite)?);
                        let mut read = [0xff; 16];
                        view.read_exact_at(&mut read, 0)?;
                        if read != [worker as u8; 16] {
                            return Err("a view shows another file".into());
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    let each = began.elapsed() / (THREADS * ROUNDS) as u32;
    println!("opening, reading and closing a view took {each:?}");
    Ok(())
}

fn attached_nowhere(bench: &Bench) -> Result<(), Failed> {
    let companion = format!("/proc/{}/mountinfo", bench.companion.child.pid());
    for path in ["/proc/self/mountinfo", &companion] {
        let mounts = fs::read_to_string(path)?;
        if let Some(line) = mounts.lines().find(|line| line.contains(" - fuse fuse ")) {
            return Err(format!("{path}: {line}").into());
        }
    }
    Ok(())
}

fn one_capability(bench: &Bench) -> Result<(), Failed> {
    const SYS_ADMIN: u64 = 1 << 21;
    let tasks = format!("/proc/{}/task", bench.companion.child.pid());
    for task in fs::read_dir(tasks)? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            u64::from_str_radix(line.unwrap_or_default().trim(), 16)
        };
        assert_eq!(field("CapEff:")?, SYS_ADMIN);
        assert_eq!(field("CapPrm:")?, SYS_ADMIN);
        assert_eq!(field("CapBnd:")?, SYS_ADMIN);
        assert_eq!(field("NoNewPrivs:")?, 1);
    }
    Ok(())
}

fn guarded(bench: &Bench) -> Result<(), Failed> {
    let client = &bench.guarding.client;
    if let Some(reason) = client.unguarded() {
        eprintln!("no file is guarded here: {reason}");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("file");
    fs::write(&path, [1; 10_000])?;
    let file = File::options().read(true).write(true).open(&path)?;
    let by_others = || {
        let mut truncate = Command::new("truncate");
        let truncate = truncate.arg("--size=5000").arg(&path);
        truncate.stderr(Stdio::null()).status()
    };
    let view = client.open(file.as_fd(), Access::ReadWrite)?;
    assert!(!by_others()?.success(), "it was truncated");
    assert_eq!(file.metadata()?.len(), 10_000);
    // This process is the client.
    file.set_len(9000)?;
    File::create(&path)?;
    fs::write(&path, [1; 10_000])?;
    assert!(!by_others()?.success(), "it was truncated");
    drop(view);
    // The server notices it some time later.
    let begun = Instant::now();
    while !by_others()?.success() {
        assert!(begun.elapsed() < LIMIT, "it is busy for good");
    }
    assert_eq!(file.metadata()?.len(), 5000);
    Ok(())
}

fn killed_companion(bench: &Bench) -> Result<(), Failed> {
    let victim = bench.victim.lock().unwrap().take().ok_or("it runs once")?;
    let file = tempfile::tempfile()?;
    file.set_len(4096)?;
    let view = victim.client.open(file.as_fd(), Access::ReadWrite)?;
    let window = ProcessWindow::new(WindowSize::new(4096)?)?;
    window.map(
        WindowOffset(0),
        4096,
        view.as_fd(),
        FileOffset(0),
        Access::ReadWrite,
    )?;

    // The companion ends in the middle of an open: the waiting thread has to get an error.
    let (Companion { client, child }, file_ref) = (&victim, &file);
    let (opening, opened) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let opening = opening.clone();
            scope.spawn(move || {
                let open = || client.open(file_ref.as_fd(), Access::ReadWrite);
                let error = loop {
                    match open() {
                        Ok(_) => opening.send(()).expect("the test waits"),
                        Err(error) => break error,
                    }
                };
                assert!(matches!(error, ViewError::ServerGone), "{error:?}");
            });
        }
        for _ in 0..100 {
            opened.recv().expect("views are being opened");
        }
        child.kill();
    });
    victim.child.wait().expect_err("it was killed");
    window.write(WindowOffset(0), b"still here")?;
    let mut read = [0; 10];
    file.read_exact_at(&mut read, 0)?;
    assert_eq!(&read, b"still here");
    Ok(())
}
