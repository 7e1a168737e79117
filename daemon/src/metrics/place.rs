// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where clients connect.

use std::fmt;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

/// A socket that listens and does not block.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// Where clients connect, and which of them are answered.
#[derive(Debug)]
pub struct Place {
    /// The socket.
    pub listener: Listener,
    /// Requests are answered by any name of this host (`--metrics-anywhere`). Otherwise a request at a
    /// TCP port has to name it as `localhost` or by a loopback address.
    pub anywhere: bool,
}

impl Place {
    /// Whether a request has to name this host as one that is reached from itself only. A browser
    /// that was lured into asking for another name (DNS rebinding) is refused then.
    pub(super) fn only_by_local_names(&self) -> bool {
        matches!(self.listener, Listener::Tcp(_)) && !self.anywhere
    }
}

/// For the log.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "http://{address}/metrics"),
                Err(_) => f.write_str("a TCP port"),
            },
            Self::Unix(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{:?}", address.as_pathname().unwrap_or("".as_ref())),
                Err(_) => f.write_str("a Unix socket"),
            },
        }
    }
}
