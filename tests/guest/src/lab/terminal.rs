// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A terminal with a command on it. A test drives it as a person does: it types, and waits for
//! output.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long any output may take, including the boot of an emulated guest.
const SHOWN_DEADLINE: Duration = Duration::from_secs(300);
/// How long the command may take to end.
const END_DEADLINE: Duration = Duration::from_secs(300);

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// See the module's documentation. Its drop hangs up, which ends all processes on the terminal.
pub struct Terminal {
    screen: AsyncFd<File>,
    child: Child,
    /// Output that no call has consumed yet.
    shown: String,
}

impl Terminal {
    /// Starts a program with its arguments on a new terminal, in a session of its own.
    pub fn start(size: Size, words: &[&str], envs: &[(&str, &str)]) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        tcsetwinsize(&master, winsize(size))?;
        let name = ptsname(&master, Vec::new())?.into_string()?;
        let slave: OwnedFd = File::options().read(true).write(true).open(name)?.into();
        fcntl_setfl(&master, OFlags::NONBLOCK)?;
        // setsid makes the new session, and makes its standard input the controlling terminal.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(words);
        command.envs(envs.iter().copied()).env("TERM", "vt100");
        command.stdin(slave.try_clone()?);
        command.stdout(slave.try_clone()?).stderr(slave);
        let child = command.kill_on_drop(true).spawn();
        // SAFETY: the descriptor must stay open and the same until it is deregistered. `AsyncFd`
        // owns the file, and no code here takes it out or replaces it.
        let screen = unsafe { AsyncFd::register(File::from(master)) };
        Ok(Self {
            screen: screen?,
            child: child.with_context(|| format!("can't start {words:?}"))?,
            shown: String::new(),
        })
    }

    /// Types these keys.
    pub async fn type_in(&mut self, keys: &str) -> Result<()> {
        let mut rest = keys.as_bytes();
        while !rest.is_empty() {
            let mut ready = self.screen.writable().await?;
            if let Ok(written) = ready.try_io(|screen| screen.get_ref().write(rest)) {
                rest = &rest[written?..];
            }
        }
        Ok(())
    }

    /// Changes the size, as a user does by dragging the window's corner.
    pub fn resize(&self, size: Size) -> Result<()> {
        Ok(tcsetwinsize(self.screen.get_ref(), winsize(size))?)
    }

    /// Waits until `text` is shown. Returns the output before it.
    pub async fn see(&mut self, text: &str) -> Result<String> {
        let shown = timeout(SHOWN_DEADLINE, async {
            while !self.shown.contains(text) {
                if !self.read().await? {
                    bail!("the command has left the terminal");
                }
            }
            Ok(())
        });
        let shown = shown
            .await
            .map_err(|_| anyhow::anyhow!("the terminal has not shown it in {SHOWN_DEADLINE:?}"));
        let shown = shown.and_then(|shown| shown);
        shown.with_context(|| format!("waiting for {text:?}; shown is {:?}", self.shown))?;
        let (before, after) = self.shown.split_once(text).expect("it was just seen");
        let (before, after) = (before.to_owned(), after.to_owned());
        self.shown = after;
        Ok(before)
    }

    /// Waits for the command's end.
    pub async fn end(mut self) -> Result<ExitStatus> {
        let ended = timeout(END_DEADLINE, async {
            // Reads until no process has the terminal open: a command waits until its last output
            // is read.
            while self.read().await? {}
            anyhow::Ok(self.child.wait().await?)
        });
        let ended = ended.await;
        ended.with_context(|| format!("no end in {END_DEADLINE:?}; shown is {:?}", self.shown))?
    }

    /// Reads the next output; false after the last process has closed the terminal.
    async fn read(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            let mut ready = self.screen.readable().await?;
            match ready.try_io(|screen| screen.get_ref().read(&mut buffer)) {
                Err(_would_block) => {}
                Ok(Ok(0)) => return Ok(false),
                Ok(Ok(len)) => {
                    self.shown
                        .push_str(&String::from_utf8_lossy(&buffer[..len]));
                    return Ok(true);
                }
                // Linux's error for a terminal without any process.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Ok(false),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Err(error.into()),
            }
        }
    }
}

fn winsize(size: Size) -> Winsize {
    Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        rows: 10,
        columns: 40,
    };

    #[tokio::test]
    async fn what_is_typed_is_answered_and_the_size_follows() {
        let script = "stty size; read word; echo got-$word; stty size; exit 3";
        let mut terminal = Terminal::start(SIZE, &["sh", "-c", script], &[]).unwrap();
        terminal.see("10 40\r\n").await.unwrap();
        terminal.resize(Size { rows: 12, ..SIZE }).unwrap();
        terminal.type_in("it\n").await.unwrap();
        assert_eq!(terminal.see("got-it").await.unwrap(), "it\r\n");
        terminal.see("12 40\r\n").await.unwrap();
        assert_eq!(terminal.end().await.unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn what_is_never_shown_is_an_error_at_the_command_s_end() {
        let mut terminal = Terminal::start(SIZE, &["echo", "something"], &[]).unwrap();
        let error = format!("{:#}", terminal.see("else").await.unwrap_err());
        assert!(
            error.contains("something") && error.contains("else"),
            "{error}"
        );
    }
}
