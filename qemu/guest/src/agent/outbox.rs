// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The way to the host, shared by all threads.
//!
//! A send waits while the port is full. That can't deadlock: the host's reader waits for nobody.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use crate::agent::port::Port;
use crate::wire::{Boot, LogLevel, Preamble, ToHost, frame};

/// The writing half of the port. It falls silent when the host is gone; the reading half is the
/// one that tells.
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

    /// Sends one message and makes it the last: what other threads send later is dropped.
    pub(crate) fn send_last(&self, message: &ToHost) {
        self.write(message, true);
    }

    /// Tells a person on the host that something did not work.
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
