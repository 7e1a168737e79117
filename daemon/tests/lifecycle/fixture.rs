// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A real daemon with a directory of its own.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use virtiofs_driver::daemon::Process;

/// How long anything may take on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition that nothing announces.
const PAUSE: Duration = Duration::from_millis(5);

/// The sandbox modes.
pub const MODES: [&str; 3] = ["namespace", "chroot", "none"];

/// Waits until `condition` gives something, and fails with `what` if it never does.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "timed out after {PATIENCE:?} waiting for {what}"
        );
        std::thread::sleep(PAUSE);
    }
}

/// True where the daemon can be started as its users start it. The reason of a skip is printed.
pub fn can_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIP: the daemon's sandboxes need root");
    }
    root
}

/// A directory with a share in it, and the places of a daemon's files.
pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("share")).unwrap();
        Self { dir }
    }

    pub fn share(&self) -> PathBuf {
        self.dir.path().join("share")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.dir.path().join("sock.pid")
    }

    /// What a daemon has put here.
    pub fn left_over(&self) -> Vec<PathBuf> {
        fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| *path != self.share() && *path != self.log())
            .collect()
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The daemon's command line with this place's share and socket.
    pub fn command(&self, options: &[&str]) -> Command {
        let mut command = bare_command(&self.log());
        command.arg("--shared-dir").arg(self.share());
        command.arg("--socket-path").arg(self.socket());
        command.args(options);
        command
    }

    /// A command that becomes the daemon of this place.
    pub fn settle(&self, command: Command) -> Command {
        settle(command, &self.log())
    }

    /// Everything logged so far.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap()
    }
}

/// The daemon's binary, in a process group of its own, logging to a file.
pub fn bare_command(log: &Path) -> Command {
    settle(Command::new(env!("CARGO_BIN_EXE_virtiofs-daxd")), log)
}

/// The same for a command that becomes the daemon's.
fn settle(mut command: Command, log: &Path) -> Command {
    let log = File::options().append(true).create(true).open(log).unwrap();
    command
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stderr(log)
        .process_group(0);
    command
}

/// The processes of a serving daemon.
#[derive(Debug)]
pub struct Roles {
    pub supervisor: Process,
    pub companion: Process,
    /// The child of the supervisor; with namespaces the outer process of the sandbox.
    pub daemon: Process,
    /// The one that serves; the same as `daemon` but with namespaces.
    pub serving: Process,
}

/// A process and all of its group, killed when dropped.
pub struct Guarded(Child);

impl Guarded {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Its process group, which is its process id too.
    pub fn group(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// Waits for the process that was started.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the daemon to exit", || self.0.try_wait().unwrap())
    }

    /// Waits until no process of the group is left.
    pub fn wait_for_group(&self) {
        wait_for("all processes to end", || {
            Process::in_group(self.group()).is_empty().then_some(())
        });
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.group()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// A daemon that serves.
pub struct Daemon {
    pub place: Place,
    process: Guarded,
    pub roles: Roles,
}

impl Daemon {
    /// Starts a daemon in a new place and waits until it serves.
    pub fn start(options: &[&str]) -> Self {
        Self::start_in(Place::new(), options)
    }

    /// Starts a daemon in a place where there is none and waits until it serves.
    pub fn start_in(place: Place, options: &[&str]) -> Self {
        let command = place.command(options);
        Self::start_by(command, place)
    }

    /// The same by this command.
    pub fn start_by(mut command: Command, place: Place) -> Self {
        let process = Guarded::spawn(&mut command);
        let roles = wait_for("the daemon to serve", || roles(process.group()));
        Self {
            place,
            process,
            roles,
        }
    }

    /// Waits for the process that was started.
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Waits until no process of the daemon is left.
    pub fn wait_for_processes(&self) {
        self.process.wait_for_group();
    }

    /// Waits until nothing of the daemon is left, and checks that it took its files along.
    pub fn wait_until_gone(&self) {
        self.wait_for_processes();
        let left_over = self.place.left_over();
        assert!(left_over.is_empty(), "left over: {left_over:?}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.place.logged());
        }
    }
}

/// Sends a signal to one process.
pub fn signal(process: &Process, signal: Signal) {
    kill_process(Pid::from_raw(process.pid).unwrap(), signal).unwrap();
}

/// Who is who, once the daemon serves.
fn roles(supervisor: i32) -> Option<Roles> {
    let serves = |process: &Process| process.has_thread("serve");
    let serving = Process::in_group(supervisor).into_iter().find(serves)?.pid;
    // Read again: a name that was read before that thread was seen may have changed since.
    let all = Process::in_group(supervisor);
    let children: Vec<_> = all
        .iter()
        .filter(|process| process.parent == supervisor)
        .collect();
    let is_companion = |process: &Process| process.name != "virtiofs-daxd";
    Some(Roles {
        supervisor: Process::find(supervisor)?,
        companion: children.iter().copied().find(|p| is_companion(p))?.clone(),
        daemon: children.iter().copied().find(|p| !is_companion(p))?.clone(),
        serving: all.iter().find(|process| process.pid == serving)?.clone(),
    })
}
