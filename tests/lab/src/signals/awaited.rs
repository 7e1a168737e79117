// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Waiting for a signal.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives SIGINT, SIGTERM and SIGHUP. Once it exists, none of these signals kills this process.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches the signals.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for any of the signals, and returns its number.
    pub async fn any(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => number(SignalKind::interrupt()),
            other = Self::final_one(&mut self.terminate, &mut self.hang_up) => other,
        }
    }

    /// Waits for a signal that ends this process even while Ctrl-C belongs to the guest's command.
    pub async fn ending(&mut self) -> u8 {
        Self::final_one(&mut self.terminate, &mut self.hang_up).await
    }

    async fn final_one(terminate: &mut Signal, hang_up: &mut Signal) -> u8 {
        tokio::select! {
            _ = terminate.recv() => number(SignalKind::terminate()),
            _ = hang_up.recv() => number(SignalKind::hangup()),
        }
    }
}

fn number(kind: SignalKind) -> u8 {
    u8::try_from(kind.as_raw_value()).expect("signal numbers are below 128")
}
