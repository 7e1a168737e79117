// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The terminal's raw mode, and its end.
//!
//! Invariant: while [`RawMode`] lives the terminal is raw. When it is dropped, or any thread
//! panics, the previous modes are restored. They are kept in one place. The first caller that
//! restores them takes them from there, so that they are restored once.

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

/// The previous modes, while the terminal is raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

static HOOK: Once = Once::new();

/// This process's terminal is in raw mode until this is dropped.
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
        // From here on the drop of `entered` restores the modes.
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
        // Fails only if the terminal is gone.
        tcsetattr(stdio::stdin(), OptionalActions::Now, &before).ok();
    }
}

/// Restores the modes before a panic's message, which needs a terminal that breaks lines.
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

/// Whether all three standard streams are terminals and this process is in the foreground, so that
/// it may take the terminal.
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
