// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The processes of the tests: companions, and a stranger of another user.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Mutex;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};
use shared_window::{ViewClient, ViewError, ViewServer, ViewService};

use crate::files;

/// The user id of `nobody`; not the one that runs the tests.
const STRANGER: u32 = 65534;

/// A forked child.
pub(crate) struct Child(Pid);

/// A companion that serves views, and its client.
pub(crate) struct Companion {
    pub(crate) client: ViewClient,
    pub(crate) child: Child,
}

/// A process of another user that looks at the views that it is sent.
pub(crate) struct Stranger {
    socket: Mutex<UnixStream>,
    child: Child,
}

/// Why this host can't run these tests, if so.
pub(crate) fn unfit() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("they need root".into());
    }
    if let Err(error) = File::open("/dev/fuse") {
        return Some(format!("/dev/fuse: {error}"));
    }
    let (child, client) = fork_companion(|server| server, || Ok(()));
    let reason = client.err().map(|error| error.to_string());
    child.wait().err().map(|error| error.to_string()).or(reason)
}

/// Runs `body` in a child, which ends with 0 when that went well. To be called before the first
/// thread.
pub(crate) fn fork(body: impl FnOnce() -> io::Result<()>) -> Child {
    // SAFETY: no other thread exists yet that could hold a lock that the child needs.
    match unsafe { libc::fork() } {
        0 => {
            let code = match body() {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("child: {error}");
                    1
                }
            };
            // SAFETY: ends the process without running what belongs to the parent.
            unsafe { libc::_exit(code) }
        }
        pid => Child(Pid::from_raw(pid).expect("fork failed")),
    }
}

fn fork_companion(
    configure: impl FnOnce(ViewServer) -> ViewServer,
    prepare: impl FnOnce() -> io::Result<()>,
) -> (Child, Result<ViewClient, ViewError>) {
    let (client, server) = ViewService::prepare().unwrap();
    let mut ends = (Some(client), Some(configure(server)));
    let child = fork(|| {
        drop(ends.0.take());
        prepare()?;
        let server = ends.1.take().expect("the child has its end");
        server.serve_until_closed().map_err(io::Error::other)
    });
    drop(ends.1);
    let client = ends.0.expect("the parent has its end");
    (child, client.wait_ready())
}

/// What companions say that lack what they need, by what they lack.
pub(crate) fn refused_companions() -> Vec<(&'static str, Result<(), ViewError>)> {
    let refused = |name, lose: fn() -> io::Result<()>| {
        let (child, client) = fork_companion(|server| server, lose);
        let outcome = client.map(drop);
        child
            .wait()
            .expect("a companion that can't serve ends well");
        (name, outcome)
    };
    vec![
        refused("capability", drop_all_capabilities),
        refused("initial user namespace", enter_user_namespace),
    ]
}

pub(crate) fn drop_all_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

fn enter_user_namespace() -> io::Result<()> {
    // SAFETY: the process has one thread and shares nothing that its namespaces could matter to.
    unsafe {
        rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
    }
    fs::write("/proc/self/uid_map", "0 0 1")?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", "0 0 1")
}

impl Child {
    pub(crate) fn pid(&self) -> u32 {
        self.0.as_raw_nonzero().get().unsigned_abs()
    }

    pub(crate) fn kill(&self) {
        kill_process(self.0, Signal::KILL).expect("a child can be killed");
    }

    /// Waits for the end; an error unless that was exit code 0.
    pub(crate) fn wait(self) -> io::Result<()> {
        let ended = rustix::io::retry_on_intr(|| waitpid(Some(self.0), WaitOptions::empty()))?;
        match ended {
            Some((_, status)) if status.exit_status() == Some(0) => Ok(()),
            other => Err(io::Error::other(format!("a child ended with {other:?}"))),
        }
    }
}

impl Companion {
    pub(crate) fn start() -> Self {
        Self::start_as(|server| server)
    }

    /// One that keeps others from truncating files beside those of `share`.
    pub(crate) fn start_guarding(share: &Path) -> Self {
        Self::start_as(|server| server.refuse_truncation(share))
    }

    fn start_as(configure: impl FnOnce(ViewServer) -> ViewServer) -> Self {
        let (child, client) = fork_companion(configure, || Ok(()));
        let client = client.expect("the host was found to be fit");
        Self { client, child }
    }

    /// Drops the client; the child has to end by that.
    pub(crate) fn end(self) -> io::Result<()> {
        drop(self.client);
        self.child.wait()
    }
}

impl Stranger {
    /// Forks a process that becomes another user and answers each view with how it looked.
    pub(crate) fn start() -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut ends = (Some(ours), Some(theirs));
        let child = fork(|| {
            drop(ends.0.take());
            let mut socket = ends.1.take().expect("the child has its end");
            become_stranger()?;
            while let Some(view) = files::receive_descriptor(&socket)? {
                let seen = files::look(view.as_fd());
                socket.write_all(&[u8::from(seen.is_ok())])?;
                if let Err(error) = seen {
                    eprintln!("the stranger: {error}");
                }
            }
            Ok(())
        });
        let ours = ends.0.expect("the parent has its end");
        Self {
            socket: Mutex::new(ours),
            child,
        }
    }

    /// Closes the socket; the child has to end by that.
    pub(crate) fn end(self) -> io::Result<()> {
        drop(self.socket);
        self.child.wait()
    }

    /// Whether the other user can measure, map, read and write the view.
    pub(crate) fn can_use(&self, view: BorrowedFd<'_>) -> io::Result<bool> {
        let mut socket = self.socket.lock().unwrap();
        files::send_descriptor(&socket, view)?;
        let mut answer = [0];
        socket.read_exact(&mut answer)?;
        Ok(answer == [1])
    }
}

fn become_stranger() -> Result<(), Errno> {
    let failed = |result: libc::c_int| match result {
        0 => Ok(()),
        _ => Err(Errno::PERM),
    };
    // SAFETY: system calls without pointers, but for an empty list.
    unsafe {
        failed(libc::setgroups(0, std::ptr::null()))?;
        failed(libc::setresgid(STRANGER, STRANGER, STRANGER))?;
        failed(libc::setresuid(STRANGER, STRANGER, STRANGER))
    }
}

/// A descriptor that must not be inherited by any of these processes is opened with CLOEXEC and
/// after all forks; this one is for a child, so before.
pub(crate) fn open_rw(path: &std::path::Path) -> io::Result<OwnedFd> {
    Ok(File::options().read(true).write(true).open(path)?.into())
}
