// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the guest is told about files that can no longer be mapped. If a mapping of a file is
//! refused whose attributes carry `FUSE_ATTR_DAX`, Linux can't read the file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use virtiofs_driver::fuse::expect_errno;
use virtiofs_driver::window::{Acknowledge, Action, CallKind, MainLoop, Rules, Told};
use virtiofs_driver::{FileOffset, NodeId, Options, Script, WindowOffset, WindowOption};

use crate::rig::{ATTR_DAX, PATIENCE, RANGE, Rig, command};

/// Bytes of a file that is large enough for `--dax-min-size`.
const LARGE: usize = 300 << 10;

/// Makes a file on the host. Returns whether the guest is told that it can map the file.
fn new_file(rig: &mut Rig, name: &str) -> Result<(NodeId, bool)> {
    std::fs::write(rig.daemon.share().join(name), vec![7; LARGE])?;
    let entry = rig.client.lookup(NodeId::ROOT, name)?;
    Ok((NodeId(entry.nodeid), entry.attr.flags & ATTR_DAX != 0))
}

/// Checks that a new file without a promise can be read.
fn expect_read_through_fuse(rig: &mut Rig, name: &str) -> Result<NodeId> {
    let (node, promised) = new_file(rig, name)?;
    ensure!(!promised, "{name} is promised and can't be mapped");
    let handle = virtiofs_driver::Handle(rig.client.open(node, libc::O_RDWR)?.fh);
    let bytes = rig.client.read_vec(node, handle, FileOffset(0), 4096)?;
    ensure!(bytes == vec![7; 4096], "other bytes");
    Ok(node)
}

fn wait_for_the_end_of(pid: i32) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while Path::new(&format!("/proc/{pid}")).exists() {
        ensure!(
            Instant::now() < deadline,
            "process {pid} did not end within {PATIENCE:?}"
        );
        std::thread::yield_now();
    }
    Ok(())
}

#[test]
fn no_file_is_promised_without_the_companion() -> Result<()> {
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (known, promised) = new_file(&mut rig, "before")?;
    ensure!(promised, "with a companion it is");
    let companion = rig.daemon.processes().into_iter();
    let companion = companion.map(|one| (one.pid, one.name));
    let mut companion = companion.filter(|(_, name)| name == "dax-views");
    let (pid, _) = companion.next().context("there is no companion")?;
    rig.daemon.signal(pid, Signal::KILL)?;
    wait_for_the_end_of(pid)?;
    // The daemon finds this out by itself a moment later. No request has to fail before.
    let deadline = Instant::now() + PATIENCE;
    for turn in 0.. {
        if !new_file(&mut rig, &format!("after-{turn}"))?.1 {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "files are promised without a companion"
        );
    }
    expect_read_through_fuse(&mut rig, "new")?;
    let attr = rig.client.getattr(known, None)?;
    ensure!(attr.flags & ATTR_DAX == 0, "a file that has no view yet");
    Ok(())
}

#[test]
fn no_file_is_promised_once_the_channel_is_known_to_be_closed() -> Result<()> {
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (node, promised) = new_file(&mut rig, "before")?;
    ensure!(promised, "with a channel it is");
    rig.vm.close_channel();
    rig.map(node, 0).expect_err("there is no channel");
    expect_read_through_fuse(&mut rig, "after")?;
    Ok(())
}

/// Like crosvm and Cloud Hypervisor, which map, answer after the effect, and have no shared
/// objects. Here the daemon is asked for the window's size before it has the channel, so there is a
/// window.
#[test]
fn a_vmm_without_shared_objects_is_promised_nothing_and_asked_nothing() -> Result<()> {
    let rules = Rules {
        acknowledge: Acknowledge::AfterEffect,
        main_loop: MainLoop::Separate,
        told: Told::Nothing,
        ..Rules::qemu()
    };
    for shared_objects in [true, false] {
        let mut rig = Rig::start(&Options {
            window: WindowOption::Required(rules),
            shared_objects,
            ..Options::default()
        })?;
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        rig.vm.set_script(Script::new(move |call| {
            if matches!(call.kind, CallKind::Fence | CallKind::Other(_)) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Action::Proceed
        }));
        if shared_objects {
            let (node, promised) = new_file(&mut rig, "file")?;
            ensure!(promised, "a VMM with a fence");
            rig.map(node, 0)?;
            ensure!(asked.load(Ordering::Relaxed) > 0, "no fence was seen");
        } else {
            let node = expect_read_through_fuse(&mut rig, "file")?;
            // As a guest that mounts with dax=always does.
            rig.map(node, 0)
                .expect_err("nothing shows that a mapping is in effect");
            ensure!(
                asked.load(Ordering::Relaxed) == 0,
                "the VMM does not know this"
            );
        }
    }
    Ok(())
}

/// Waits until new files are promised, as they are after a doubt has passed.
fn wait_for_a_promise(rig: &mut Rig) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for turn in 0.. {
        if new_file(rig, &format!("later-{turn}"))?.1 {
            break;
        }
        ensure!(Instant::now() < deadline, "no promise within {PATIENCE:?}");
    }
    Ok(())
}

#[test]
fn a_mapping_that_the_vmm_refuses_takes_promises_back() -> Result<()> {
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (refused, promised) = new_file(&mut rig, "refused")?;
    ensure!(promised, "before the VMM has refused it");
    let script = Script::once(CallKind::Map, 0, Action::Refuse(libc::EACCES));
    rig.vm.set_script(script);
    rig.map(refused, 0).expect_err("the VMM refuses");
    let attr = rig.client.getattr(refused, None)?;
    ensure!(
        attr.flags & ATTR_DAX == 0,
        "promised although it was refused"
    );
    // The VMM gives no reason, so the reason may apply to all files.
    expect_read_through_fuse(&mut rig, "next")?;
    wait_for_a_promise(&mut rig)?;
    Ok(())
}

#[test]
fn a_request_that_makes_no_sense_takes_no_promise_back() -> Result<()> {
    let mut rig = Rig::with_rules(Rules::qemu())?;
    let (node, _) = new_file(&mut rig, "file")?;
    let beyond = WindowOffset(64 << 20);
    for (at, from, len) in [
        (beyond, 0, RANGE),
        (WindowOffset(0), 1, RANGE),
        (beyond, 0, 0),
    ] {
        let asked = rig
            .client
            .setup_mapping(node, FileOffset(from), len, at, true);
        asked.expect_err("a range that makes no sense");
    }
    rig.map(node, 0)?;
    let overlapping = WindowOffset(RANGE / 2);
    let asked = rig
        .client
        .setup_mapping(node, FileOffset(0), RANGE, overlapping, true);
    asked.expect_err("a live mapping is in the way");
    let attr = rig.client.getattr(node, None)?;
    ensure!(
        attr.flags & ATTR_DAX != 0,
        "the file can be mapped as before"
    );
    ensure!(new_file(&mut rig, "next")?.1, "and so can all others");
    Ok(())
}

/// A mount that is removed on drop.
pub struct Mount(pub PathBuf);

impl Mount {
    pub fn on(path: PathBuf, what: &[&str]) -> Result<Self> {
        run("mount", what, &path)?;
        Ok(Self(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["--lazy"], &self.0) {
            eprintln!("{error:#}");
        }
    }
}

pub fn run(program: &str, arguments: &[&str], path: &Path) -> Result<()> {
    let status = Command::new(program).args(arguments).arg(path).status();
    let status = status.with_context(|| format!("can't run {program}"))?;
    ensure!(status.success(), "{program} {arguments:?}: {status}");
    Ok(())
}

/// A daemon that shares this directory.
fn share(directory: &Path, options: &[&str]) -> Result<Rig> {
    let daemon = command()?.arg("--dax-window=64M");
    let daemon = daemon.args(options).share(directory).start()?;
    Rig::on(daemon, &Options::default())
}

#[test]
fn files_that_the_kernel_makes_up_are_not_mapped() -> Result<()> {
    for (directory, name) in [
        ("/proc/sys/kernel", "hostname"),
        ("/sys/kernel", "profiling"),
    ] {
        if !Path::new(directory).join(name).exists() {
            eprintln!("SKIP: this kernel has no {directory}/{name}");
            continue;
        }
        let folder = tempfile::tempdir()?;
        let inside = folder.path().join("made-up");
        std::fs::create_dir(&inside)?;
        let _mount = Mount::on(inside, &["--bind", directory])?;
        let mut rig = share(folder.path(), &["--dax=always"])?;
        // INIT has mapped scratch memory.
        let (window, before) = (rig.window()?, rig.window()?.stats().maps);
        let parent = rig.client.node("made-up")?;
        let entry = rig.client.lookup(parent, name)?;
        ensure!(entry.attr.flags & ATTR_DAX == 0, "{name} is promised");
        expect_errno(
            rig.map(NodeId(entry.nodeid), 0),
            libc::EOPNOTSUPP,
            "no real file",
        )?;
        let asked = window.stats().maps - before;
        ensure!(asked == 0, "the VMM was asked to map {name}");
    }
    Ok(())
}

#[test]
fn a_file_system_that_becomes_read_only_costs_one_access_and_not_one_a_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mount = Mount::on(folder.path().to_owned(), &["-t", "tmpfs", "none"])?;
    let mut rig = share(folder.path(), &[])?;
    let (first, promised) = new_file(&mut rig, "first")?;
    let (second, also) = new_file(&mut rig, "second")?;
    ensure!(promised && also, "while it can be written");
    run("mount", &["-o", "remount,ro"], &mount.0)?;
    rig.map(first, 0)
        .expect_err("it can't be opened for writing");
    for node in [first, second] {
        let attr = rig.client.getattr(node, None)?;
        ensure!(attr.flags & ATTR_DAX == 0, "promised on a read-only mount");
    }
    drop(rig);
    drop(mount);
    Ok(())
}
