// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A running guest: QEMU's process with its console, its control channel and its agent's port.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, MutexGuard};

use super::child::{SpawnError, Supervised};
use super::qmp::{Qmp, QmpError};
use super::tail::tail;
use crate::vm::machine::{Channel, CommandLine, Console, Machine};

/// How long QEMU may take to connect to its control socket, which it does before the
/// guest's first instruction.
const CONNECT_DEADLINE: Duration = Duration::from_secs(60);
/// How long QEMU may take to end after it was told to quit.
const QUIT_DEADLINE: Duration = Duration::from_secs(20);
/// How long after the end of its connections QEMU may end.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(5);
/// Lines of QEMU's output and of the guest's console in an error message.
const LOG_LINES: usize = 15;

/// Why there is no running guest.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum GuestError {
    /// A file or socket could not be made or used.
    #[error("can't make or use {path}", path = .path.display())]
    File { path: PathBuf, source: io::Error },
    /// QEMU could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// QEMU ended.
    #[error(transparent)]
    Ended(#[from] Box<Ended>),
    /// QEMU did not connect.
    #[error("QEMU did not connect to {path} in {CONNECT_DEADLINE:?}", path = .path.display())]
    NoConnection { path: PathBuf },
    /// The control channel failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// QEMU could not be waited for.
    #[error("can't wait for QEMU")]
    Wait(#[source] io::Error),
}

/// How QEMU ended, with the last output of QEMU and of the guest.
#[derive(Debug, thiserror::Error)]
#[error("QEMU ended ({status}); its output:\n{output}\nthe guest's console:\n{console}")]
pub struct Ended {
    /// QEMU's exit status.
    pub status: ExitStatus,
    /// The end of QEMU's standard error and output.
    pub output: String,
    /// The end of the guest's console.
    pub console: String,
}

/// A running QEMU. Dropping it kills it.
#[derive(Debug)]
pub struct Guest {
    child: Supervised,
    qmp: Mutex<Qmp>,
    files: Files,
    command_line: CommandLine,
}

/// The files of a guest in its folder.
#[derive(Debug, Clone)]
struct Files {
    agent: PathBuf,
    console: PathBuf,
    log: PathBuf,
}

impl Guest {
    /// Starts `machine` with `qemu`. Creates its sockets, console and log in the folder `dir`
    /// (which sets the machine's console, monitor and agent channel). Returns once QEMU is
    /// connected; the guest boots meanwhile.
    ///
    /// # Errors
    /// If QEMU does not start or ends at once. Nothing is left running then.
    pub async fn start(
        qemu: &CommandLine,
        machine: Machine,
        dir: &Path,
    ) -> Result<Self, GuestError> {
        let files = Files {
            agent: dir.join("agent.sock"),
            console: dir.join("console.log"),
            log: dir.join("qemu.log"),
        };
        let monitor = Port::listen(dir.join("qmp.sock"))?;
        let machine = Machine {
            console: Console::File(files.console.clone()),
            monitor: Some(Channel::Dial(monitor.path.clone())),
            agent: Some(Channel::Listen(files.agent.clone())),
            ..machine
        };
        let command_line = qemu.clone().args(machine.args());
        let mut child = spawn(&command_line, &files.log)?;
        // QEMU makes all its sockets before its greeting, so the agent's socket exists afterwards.
        let connected = async {
            let qmp = Qmp::handshake(monitor.accept().await?).await?;
            Ok::<_, GuestError>(qmp)
        };
        let qmp = tokio::select! {
            connected = connected => match connected {
                Ok(connected) => connected,
                Err(error) => return Err(explained(error, &mut child, &files).await),
            },
            ended = ended(&mut child, &files) => return Err(ended),
        };
        Ok(Self {
            child,
            qmp: Mutex::new(qmp),
            files,
            command_line,
        })
    }

    /// Connects to the agent's port. One connection is served at a time; a rebooted guest needs a
    /// new one.
    pub async fn connect_agent(&self) -> Result<UnixStream, GuestError> {
        let connected = UnixStream::connect(&self.files.agent).await;
        connected.map_err(|source| GuestError::File {
            path: self.files.agent.clone(),
            source,
        })
    }

    /// QEMU's control channel.
    pub async fn qmp(&self) -> MutexGuard<'_, Qmp> {
        self.qmp.lock().await
    }

    /// QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// How QEMU was started.
    pub fn command_line(&self) -> &CommandLine {
        &self.command_line
    }

    /// The file with the guest's serial console.
    pub fn console(&self) -> &Path {
        &self.files.console
    }

    /// The file with QEMU's own output.
    pub fn log(&self) -> &Path {
        &self.files.log
    }

    /// The end of the guest's console, for messages.
    pub fn console_tail(&self) -> String {
        tail(&self.files.console, LOG_LINES)
    }

    /// Waits for QEMU's end, without taking its status. Any number of tasks may wait.
    pub async fn gone(&self) -> io::Result<()> {
        self.child.ended().await
    }

    /// Waits for QEMU's end, which is an error while the guest is needed.
    pub async fn ended(&mut self) -> GuestError {
        ended(&mut self.child, &self.files).await
    }

    /// Waits until QEMU has ended by itself, such as after the guest's power-off; `None` if it has
    /// not at the deadline.
    ///
    /// # Errors
    /// If QEMU ended with an error.
    pub async fn wait_off(&mut self, deadline: Duration) -> Result<Option<()>, GuestError> {
        match tokio::time::timeout(deadline, self.ended()).await {
            Ok(GuestError::Ended(ended)) if ended.status.success() => Ok(Some(())),
            Ok(error) => Err(error),
            Err(_elapsed) => Ok(None),
        }
    }

    /// Ends QEMU whatever the guest is doing: tells it to quit, then kills it.
    ///
    /// # Errors
    /// If QEMU ended with an error of its own before.
    pub async fn stop(mut self) -> Result<(), GuestError> {
        if let Err(error) = self.qmp.get_mut().quit().await {
            log::debug!("QEMU can't be told to quit: {error}");
        }
        if self.wait_off(QUIT_DEADLINE).await?.is_none() {
            log::warn!("QEMU did not quit in {QUIT_DEADLINE:?}; killing it");
            self.child.kill().map_err(GuestError::Wait)?;
        }
        Ok(())
    }

    /// Kills QEMU at once (SIGKILL) and waits for its end.
    pub fn kill(mut self) -> Result<(), GuestError> {
        self.child.kill().map(drop).map_err(GuestError::Wait)
    }
}

/// A socket of this process that QEMU connects to.
struct Port {
    path: PathBuf,
    listener: UnixListener,
}

impl Port {
    fn listen(path: PathBuf) -> Result<Self, GuestError> {
        match UnixListener::bind(&path) {
            Ok(listener) => Ok(Self { path, listener }),
            Err(source) => Err(GuestError::File { path, source }),
        }
    }

    async fn accept(&self) -> Result<UnixStream, GuestError> {
        match tokio::time::timeout(CONNECT_DEADLINE, self.listener.accept()).await {
            Ok(Ok((stream, _))) => Ok(stream),
            Ok(Err(source)) => Err(GuestError::File {
                path: self.path.clone(),
                source,
            }),
            Err(_elapsed) => Err(GuestError::NoConnection {
                path: self.path.clone(),
            }),
        }
    }
}

/// Starts QEMU with its output in `log`, and keeps the command line beside it, for a person who
/// reads the log.
fn spawn(command_line: &CommandLine, log: &Path) -> Result<Supervised, GuestError> {
    let output = std::fs::write(log.with_extension("sh"), format!("{command_line}\n"))
        .and_then(|()| File::create(log))
        .and_then(|file| Ok((file.try_clone()?, file)));
    let (stdout, stderr) = output.map_err(|source| GuestError::File {
        path: log.to_owned(),
        source,
    })?;
    let mut command = command_line.command();
    command.stdout(stdout).stderr(stderr);
    Ok(Supervised::spawn("QEMU", command)?)
}

/// Waits a moment for QEMU's end, which usually explains a lost connection.
async fn explained(error: GuestError, child: &mut Supervised, files: &Files) -> GuestError {
    let ended = tokio::time::timeout(LAST_WORDS_DEADLINE, ended(child, files)).await;
    ended.unwrap_or(error)
}

async fn ended(child: &mut Supervised, files: &Files) -> GuestError {
    match child.wait().await {
        Ok(status) => GuestError::Ended(Box::new(Ended {
            status,
            output: tail(&files.log, LOG_LINES),
            console: tail(&files.console, LOG_LINES),
        })),
        Err(source) => GuestError::Wait(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accel::Accel;
    use crate::script;
    use crate::vm::machine::Boot;

    fn machine() -> Machine {
        Machine::new(
            Accel::Tcg,
            Boot {
                kernel: "/boot/k".into(),
                initrd: Some("/boot/i".into()),
                append: Vec::new(),
            },
        )
    }

    #[tokio::test]
    async fn a_qemu_that_refuses_its_arguments_is_shown_with_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let qemu = dir.path().join("fake-qemu");
        script::write(&qemu, "echo 'bad option' >&2; exit 1").unwrap();
        let line = CommandLine::new(&qemu);
        let error = Guest::start(&line, machine(), dir.path())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("bad option"), "{error}");
    }
}
