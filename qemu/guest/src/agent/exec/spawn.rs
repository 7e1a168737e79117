// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Starts a command on pipes or on a terminal of its own.

use std::{
    ffi::CString,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, chdir, chroot, ioctl_tiocsctty, setsid},
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize},
};

use super::never_wait;
use crate::agent::children::Children;
use crate::wire::{ExitStatus, StdinKind, TtySize};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const HOME: &str = "/root";
const TERM: &str = "linux";

/// The default working directory of commands, if it exists.
const SHARE: &str = "/share";

/// A new command, with our ends of its streams.
pub(super) struct Spawned {
    pub(super) pid: Pid,
    pub(super) end: mpsc::Receiver<ExitStatus>,
    pub(super) streams: Streams,
}

/// Our ends of a command's streams; reads and writes never wait.
pub(super) struct Streams {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: OwnedFd,
    /// None on a terminal, where all output goes to `stdout`.
    pub(super) stderr: Option<OwnedFd>,
    /// The terminal, for its size.
    pub(super) terminal: Option<OwnedFd>,
}

/// Starts the command that the host requests.
pub(super) fn spawn(children: &Children, asked: &crate::wire::Command) -> io::Result<Spawned> {
    let (program, arguments) = asked
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program named"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs([("PATH", PATH), ("HOME", HOME), ("TERM", TERM)])
        .envs(asked.env.iter().map(|(name, value)| (name, value)));
    let cwd = asked.cwd.as_deref();
    let place = match &asked.root {
        Some(root) => Some((CString::new(&**root)?, CString::new(cwd.unwrap_or("/"))?)),
        None => {
            command.current_dir(working_directory(cwd));
            None
        }
    };
    let streams = match asked.tty {
        Some(size) => on_terminal(&mut command, size)?,
        None => on_pipes(&mut command, asked.stdin)?,
    };
    prepare(&mut command, asked.tty.is_some(), place);
    let (pid, end) = children.spawn(&mut command)?;
    Ok(Spawned { pid, end, streams })
}

fn working_directory(asked: Option<&str>) -> &str {
    let share = || Path::new(SHARE).is_dir().then_some(SHARE);
    asked.or_else(share).unwrap_or("/")
}

fn on_pipes(command: &mut Command, stdin: StdinKind) -> io::Result<Streams> {
    let stdin = match stdin {
        StdinKind::Piped => {
            let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
            never_wait(&ours)?;
            command.stdin(theirs);
            Some(ours)
        }
        StdinKind::Null => {
            command.stdin(Stdio::null());
            None
        }
    };
    let output = || -> io::Result<_> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        never_wait(&ours)?;
        Ok((ours, theirs))
    };
    let (stdout, theirs) = output()?;
    command.stdout(theirs);
    let (stderr, theirs) = output()?;
    command.stderr(theirs);
    Ok(Streams {
        stdin,
        stdout,
        stderr: Some(stderr),
        terminal: None,
    })
}

fn on_terminal(command: &mut Command, size: TtySize) -> io::Result<Streams> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags)?;
    unlockpt(&ours)?;
    let theirs = ioctl_tiocgptpeer(&ours, flags)?;
    let mut modes = tcgetattr(&theirs)?;
    // Erasing a character of several bytes erases all of them.
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    resize(&ours, size)?;
    never_wait(&ours)?;
    command
        .stdin(theirs.try_clone()?)
        .stdout(theirs.try_clone()?)
        .stderr(theirs);
    Ok(Streams {
        stdin: Some(ours.try_clone()?),
        stdout: ours.try_clone()?,
        stderr: None,
        terminal: Some(ours),
    })
}

/// Sets a terminal's size; its processes get SIGWINCH.
pub(super) fn resize(terminal: &OwnedFd, size: TtySize) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

/// The signals that a shell's background jobs ignore. A command would inherit that from an agent
/// that was started so, and Ctrl-C would have no effect on it.
const IGNORED_IN_BACKGROUND: [libc::c_int; 2] = [libc::SIGINT, libc::SIGQUIT];

/// Makes the command the leader of a session, and the terminal on its standard input that
/// session's, so that a shell has job control. With a `place` it gets that root and that working
/// directory in it; the program is looked for after that.
fn prepare(command: &mut Command, terminal: bool, place: Option<(CString, CString)>) {
    let prepare = move || -> io::Result<()> {
        if let Some((root, cwd)) = &place {
            chroot(&**root)?;
            chdir(&**cwd)?;
        }
        setsid()?;
        if terminal {
            ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        for signal in IGNORED_IN_BACKGROUND {
            // SAFETY: this only resets the signal to its default action.
            if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure runs in the child between fork and exec, where locks of other threads may
    // stay held. The closure makes system calls and neither allocates nor takes a lock. Descriptor
    // 0, which it uses, is the terminal that `on_terminal` gave the command.
    unsafe {
        command.pre_exec(prepare);
    }
}
