// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The messages to the host, from all threads.
//!
//! A send waits while the port is full. That can't deadlock: the host's reader never waits.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::agent::port::Port;
use crate::wire::{Boot, LogLevel, Preamble, ToHost, frame};

/// The writing half of the port. It drops messages once the host is gone; only the reading half
/// reports that.
pub(crate) struct Outbox {
    port: Mutex<Option<Arc<Port>>>,
}

impl Outbox {
    /// Greets the host. In a guest this waits until a host is connected.
    pub(crate) fn open(port: Arc<Port>, boot: Boot) -> io::Result<Self> {
        let mut greeting = Preamble::bytes().to_vec();
        greeting.extend(encode(&ToHost::Hello(boot)));
        port.greet(&greeting)?;
        Ok(Self {
            port: Mutex::new(Some(port)),
        })
    }

    /// Sends one message.
    pub(crate) fn send(&self, message: &ToHost) {
        self.write(message, false);
    }

    /// Sends one message as the last: later messages of other threads are dropped.
    pub(crate) fn send_last(&self, message: &ToHost) {
        self.write(message, true);
    }

    /// Sends a warning for a person on the host.
    pub(crate) fn warn(&self, text: String) {
        self.send(&ToHost::Log {
            level: LogLevel::Warning,
            text,
        });
    }

    fn write(&self, message: &ToHost, last: bool) {
        let bytes = encode(message);
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
        let written = port.as_ref().is_some_and(|p| p.write_all(&bytes).is_ok());
        if last || !written {
            *port = None;
        }
    }
}

fn encode(message: &ToHost) -> Vec<u8> {
    frame::encode(message).expect("the agent's messages are bounded and plain")
}
