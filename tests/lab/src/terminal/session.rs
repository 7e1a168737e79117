// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One guest command with this process's standard streams.

use std::env;

use qemu_guest::vm::agent::{Agent, ExecRequest, ExitStatus, Running, Signal, Stdin};
use tokio::{
    io::AsyncWriteExt,
    signal::unix::{Signal as Caught, SignalKind, signal},
};

use super::{
    TerminalError,
    input::Input,
    output::{Sink, pass_on},
    raw::{self, RawMode},
};

/// Runs an interactive command, a shell for example, on this terminal, until it ends.
///
/// # Errors
///
/// [`TerminalError::NoTerminal`] unless standard input and output are a terminal, and
/// [`TerminalError::Interrupted`] by SIGTERM and SIGHUP.
pub async fn shell(agent: &Agent, request: ExecRequest) -> Result<ExitStatus, TerminalError> {
    if !raw::has_terminal() {
        return Err(TerminalError::NoTerminal);
    }
    on_terminal(agent, request).await
}

/// Runs a command in the guest as if it were a local one.
///
/// If all three standard streams are this terminal, the command gets a terminal in the guest that
/// stands for it. Editors and pagers work, and Ctrl-C goes to the foreground process in the guest.
/// Otherwise the command gets three pipes, and every byte passes unchanged; SIGINT and SIGQUIT of
/// this process are passed on to the command.
///
/// As with any remote command, input is read ahead before the command asks for it. Use `/dev/null`
/// as input if the rest is meant for another reader.
///
/// # Errors
///
/// [`TerminalError::Interrupted`] by SIGTERM and SIGHUP. The command's exit status is no error. The
/// signals stay caught after this returns, so the caller needs handlers of its own.
pub async fn command(agent: &Agent, request: ExecRequest) -> Result<ExitStatus, TerminalError> {
    if raw::owns_terminal() {
        on_terminal(agent, request).await
    } else {
        on_pipes(agent, request).await
    }
}

async fn on_terminal(agent: &Agent, request: ExecRequest) -> Result<ExitStatus, TerminalError> {
    let mut request = request.tty(raw::size()?);
    if let Ok(term) = env::var("TERM") {
        request = request.env("TERM", term);
    }
    let mut resized = catch(SignalKind::window_change())?;
    let running = agent.exec(request).await?;
    // Not earlier: while no process in the guest can take a Ctrl-C, it ends this process.
    let _raw = RawMode::enter()?;
    // The size may have changed before the signal for it was caught.
    let control = running.control();
    control.resize(raw::size()?);
    let follow_size = async {
        while resized.recv().await.is_some() {
            control.resize(raw::size()?);
        }
        Ok(())
    };
    tokio::select! {
        ended = pass_streams(running) => ended,
        Err(error) = follow_size => Err(error),
        Err(error) = until_asked_to_end() => Err(error),
    }
}

async fn on_pipes(agent: &Agent, request: ExecRequest) -> Result<ExitStatus, TerminalError> {
    let mut interrupt = catch(SignalKind::interrupt())?;
    let mut quit = catch(SignalKind::quit())?;
    let running = agent.exec(request.piped_stdin()).await?;
    let control = running.control();
    let pass_signals = async {
        loop {
            tokio::select! {
                Some(()) = interrupt.recv() => control.signal(Signal::INT),
                Some(()) = quit.recv() => control.signal(Signal::QUIT),
            }
        }
    };
    tokio::select! {
        ended = pass_streams(running) => ended,
        () = pass_signals => unreachable!("signals are passed on until the command ends"),
        Err(error) = until_asked_to_end() => Err(error),
    }
}

/// Passes all bytes on until the command has ended and its last byte is written.
async fn pass_streams(mut running: Running) -> Result<ExitStatus, TerminalError> {
    let stdin = running.stdin.take();
    let stdout = running.stdout.take().map(|s| pass_on(s, Sink::Stdout));
    let stderr = running.stderr.take().map(|s| pass_on(s, Sink::Stderr));
    let ended = async {
        let (stdout, stderr) = tokio::join!(all(stdout), all(stderr));
        // Awaited first: a lost guest also ends the streams, and this error names the reason.
        let status = running.wait().await?;
        stdout.and(stderr)?;
        Ok(status)
    };
    tokio::select! {
        ended = ended => ended,
        Err(error) = feed(stdin) => Err(error),
    }
}

async fn all<F>(passing: Option<F>) -> Result<(), TerminalError>
where
    F: Future<Output = Result<(), TerminalError>>,
{
    match passing {
        Some(passing) => passing.await,
        None => Ok(()),
    }
}

/// Passes the input on until it ends, or the command stops reading.
async fn feed(stdin: Option<Stdin>) -> Result<(), TerminalError> {
    let Some(mut stdin) = stdin else {
        return Ok(());
    };
    let mut input = Input::start()?;
    while let Some(bytes) = input.chunk().await {
        if stdin.write_all(&bytes).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn until_asked_to_end() -> Result<(), TerminalError> {
    let mut terminate = catch(SignalKind::terminate())?;
    let mut hang_up = catch(SignalKind::hangup())?;
    let asked = tokio::select! {
        _ = terminate.recv() => Signal::TERM,
        _ = hang_up.recv() => Signal::HUP,
    };
    Err(TerminalError::Interrupted(asked))
}

fn catch(kind: SignalKind) -> Result<Caught, TerminalError> {
    signal(kind).map_err(TerminalError::Signals)
}
