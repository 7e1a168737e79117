// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Records a signal.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// The last SIGINT, SIGTERM or SIGHUP that arrived. Once this exists, none of these signals kills
/// this process.
#[derive(Clone, Debug)]
pub struct Noted(Arc<AtomicUsize>);

impl Noted {
    /// Catches the signals.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn catch() -> io::Result<Self> {
        let noted = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_usize(signal, Arc::clone(&noted), signal as usize)?;
        }
        Ok(Self(noted))
    }

    /// The signal's number, after one has arrived.
    pub fn number(&self) -> Option<u8> {
        let number = u8::try_from(self.0.load(Ordering::Relaxed)).ok();
        number.filter(|number| *number != 0)
    }
}
