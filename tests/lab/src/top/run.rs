// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs `daxlab top`.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGTERM};
use tokio::runtime::{Builder, Runtime};

use super::args::TopArgs;
use super::client::look;
use super::history::History;
use super::screen::Screen;
use super::text::report;
use crate::cli::Status;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// If set to any value, there are no colours (no-color.org).
const NO_COLOUR: &str = "NO_COLOR";

/// Shows the daemon's state, once or until the user ends it.
pub fn run(args: &TopArgs, out: &mut dyn Write) -> Result<Status> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Asked before the screen is taken, so that an error about the address stays visible.
    let seen = runtime.block_on(look(&args.address))?;
    if args.once || !io::stdout().is_terminal() {
        out.write_all(report(&args.address, &seen).as_bytes())?;
        return Ok(Status::Success);
    }
    let mut history = History::default();
    history.add(&seen);
    let mut screen = Screen {
        address: args.address.clone(),
        colours: std::env::var_os(NO_COLOUR).is_none_or(|value| value.is_empty()),
        seen: Some(seen),
        history,
        trouble: None,
    };
    let asked = asked_to_end()?;
    // The terminal is restored in any case, also after a panic.
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, &mut screen, &runtime, &asked);
    let restored = ratatui::try_restore();
    shown?;
    restored?;
    Ok(Status::Success)
}

/// Set when a signal asks for the end.
fn asked_to_end() -> io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

fn show(
    terminal: &mut DefaultTerminal,
    screen: &mut Screen,
    runtime: &Runtime,
    asked: &AtomicBool,
) -> Result<()> {
    let mut next = Instant::now() + EVERY;
    while !asked.load(Ordering::Relaxed) {
        terminal.draw(|frame| screen.draw(frame))?;
        let rest = next.saturating_duration_since(Instant::now());
        if poll(rest)? {
            if ends(&event::read()?) {
                return Ok(());
            }
        } else {
            update(screen, runtime);
            next = Instant::now() + EVERY;
        }
    }
    Ok(())
}

/// Whether there is an event. A signal also ends the wait, and is no event.
fn poll(rest: Duration) -> io::Result<bool> {
    match event::poll(rest) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        polled => polled,
    }
}

fn update(screen: &mut Screen, runtime: &Runtime) {
    match runtime.block_on(look(&screen.address)) {
        Ok(seen) => {
            screen.history.add(&seen);
            screen.seen = Some(seen);
            screen.trouble = None;
        }
        Err(error) => screen.trouble = Some(error.to_string()),
    }
}

/// Whether an event asks for the end.
fn ends(event: &Event) -> bool {
    let Event::Key(KeyEvent {
        code,
        modifiers,
        kind: KeyEventKind::Press,
        ..
    }) = event
    else {
        return false;
    };
    match code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}
