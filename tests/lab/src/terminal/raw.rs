// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The terminal's raw mode, and the way back from it.
//!
//! Invariant: while [`RawMode`] lives the terminal is raw; when it is dropped, or any thread
//! panics, the terminal is as it was. What was is kept in one place, and taken from there by
//! whoever restores it, so that it is restored once.

use std::{
    io, panic,
    sync::{Mutex, Once, PoisonError},
};

use qemu_guest::vm::agent::TtySize;
use rustix::{
    process::getpgrp,
    stdio,
    termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr},
};

use super::TerminalError;

/// The modes to go back to, while the terminal is raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

static HOOK: Once = Once::new();

/// This process's terminal in raw mode, until this is dropped.
pub(super) struct RawMode(());

impl RawMode {
    pub(super) fn enter() -> Result<Self, TerminalError> {
        let failed = |doing| {
            move |errno: rustix::io::Errno| TerminalError::Terminal {
                doing,
                source: errno.into(),
            }
        };
        HOOK.call_once(restore_on_panic);
        let before = tcgetattr(stdio::stdin()).map_err(failed("read the modes of"))?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // From here on its drop restores.
        let entered = Self(());
        tcsetattr(stdio::stdin(), OptionalActions::Drain, &raw).map_err(failed("set up"))?;
        Ok(entered)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // Fails only when the terminal has gone.
        tcsetattr(stdio::stdin(), OptionalActions::Now, &before).ok();
    }
}

/// A panic's message is to be read on a terminal that breaks lines.
fn restore_on_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        restore();
        report(panic);
    }));
}

/// Whether standard input and output are terminals.
pub(super) fn has_terminal() -> bool {
    isatty(stdio::stdin()) && isatty(stdio::stdout())
}

/// Whether all three standard streams are terminals and this process is in the foreground, so
/// that it may take the terminal for itself.
pub(super) fn owns_terminal() -> bool {
    has_terminal()
        && isatty(stdio::stderr())
        && tcgetpgrp(stdio::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// The terminal's size now.
pub(super) fn size() -> Result<TtySize, TerminalError> {
    let size = tcgetwinsize(stdio::stdout()).map_err(|errno| TerminalError::Terminal {
        doing: "ask for the size of",
        source: io::Error::from(errno),
    })?;
    Ok(TtySize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}
