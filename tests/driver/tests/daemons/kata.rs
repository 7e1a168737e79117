// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon as the two runtimes of Kata Containers start and end it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use virtiofs_driver::daemon::Process;
use virtiofs_driver::{Client, FileOffset, Handle, InitOptions, NodeId, Options, QueueIndex, Vm};

use crate::rig::{PATIENCE, daemons, pattern};

/// What the runtime in Rust reads on standard error before it starts the VM; it waits without a limit.
const READY: &str = "Waiting for vhost-user socket connection";
/// The options that Kata's own configuration adds.
const EXTRA: [&str; 2] = ["--thread-pool-size=1", "--announce-submounts"];

/// The files of one sandbox.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("shared"))?;
        Ok(Self(folder))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A container's files are written and read; then the runtime kills the process that it started,
    /// and only that one.
    fn play(&self, daemon: &mut Child) -> Result<()> {
        let mut vm = Vm::connect(&self.path("sock"), &Options::default())?;
        let mut client = Client::new(&mut vm, QueueIndex::request(0))?;
        client.init(&InitOptions::linux())?;
        let content = pattern(8192);
        fs::write(self.path("shared/file"), &content)?;
        let node = client.node("file")?;
        let handle = Handle(client.open(node, libc::O_RDWR)?.fh);
        let buffer = vm.memory().allocate(8192, 4096)?;
        let len = client.read(node, handle, FileOffset(0), buffer.span())?;
        ensure!(buffer.to_vec(len as usize)? == content, "other bytes");

        let pid = daemon.id().cast_signed();
        kill_process(Pid::from_raw(pid).context("no process")?, Signal::KILL)?;
        daemon.wait()?;
        let deadline = Instant::now() + PATIENCE;
        while let Some(left) = Process::in_group(pid).first() {
            ensure!(Instant::now() < deadline, "{left:?} has not ended");
            std::thread::yield_now();
        }
        let answer = client.getattr(NodeId::ROOT, None);
        ensure!(answer.is_err(), "the daemon is killed, and answers");
        Ok(())
    }
}

/// As `virtiofsd.go` does: the daemon inherits the listening socket as its descriptor 3, and logs to
/// the host's syslog.
#[test]
fn the_runtime_in_go() -> Result<()> {
    for program in daemons()? {
        let sandbox = Sandbox::new()?;
        let socket = OwnedFd::from(UnixListener::bind(sandbox.path("sock"))?);
        let mut daemon = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 </dev/null"])
            .arg(&program)
            .args(["--syslog", "--cache=auto"])
            .arg(option("--shared-dir=", &sandbox.path("shared")))
            .args(["--fd=3", "--inode-file-handles=prefer"])
            .args(EXTRA)
            .stdin(socket)
            .stderr(File::create(sandbox.path("log"))?)
            .process_group(0)
            .spawn()?;
        let played = sandbox.play(&mut daemon);
        let log = fs::read_to_string(sandbox.path("log"))?;
        played.with_context(|| format!("{}: {log}", program.display()))?;
    }
    Ok(())
}

/// As `share_virtio_fs_standalone.rs` does.
#[test]
fn the_runtime_in_rust() -> Result<()> {
    for program in daemons()? {
        let sandbox = Sandbox::new()?;
        let mut daemon = Command::new(&program)
            .arg("--socket-path")
            .arg(sandbox.path("sock"))
            .arg("--shared-dir")
            .arg(sandbox.path("shared"))
            .args(["--cache", "auto", "--sandbox", "none", "--seccomp", "none"])
            .args(["--inode-file-handles", "never"])
            .args(EXTRA)
            .arg("--xattr")
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let mut log = BufReader::new(daemon.stderr.take().context("no log")?);
        let (mut line, mut seen) = (String::new(), String::new());
        while !line.contains(READY) {
            line.clear();
            let len = log.read_line(&mut line)?;
            ensure!(
                len > 0,
                "{} does not say {READY:?}: {seen}",
                program.display()
            );
            seen.push_str(&line);
        }
        sandbox
            .play(&mut daemon)
            .with_context(|| format!("{}: {seen}", program.display()))?;
    }
    Ok(())
}

fn option(name: &str, value: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}
