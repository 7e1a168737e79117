// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the daemon serves metrics.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A value of `--metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket that the daemon creates.
    Unix(PathBuf),
}

/// Why a text is no such value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 127.0.0.1:PORT, [::1]:PORT, or the path of a socket, with a '/' in it")]
pub struct MetricsAddressError;

impl FromStr for MetricsAddress {
    type Err = MetricsAddressError;

    fn from_str(text: &str) -> Result<Self, MetricsAddressError> {
        if text.contains('/') {
            return Ok(Self::Unix(text.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| MetricsAddressError)
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Where metrics are served, and to which clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsEndpoint {
    /// The address or path to listen at.
    pub address: MetricsAddress,
    /// Other machines may connect, by any name of this host.
    pub anywhere: bool,
}

#[cfg(test)]
mod tests {
    use super::MetricsAddress;
    use crate::cli::{Invocation, parse};

    /// The address that a daemon with these options has, or what is wrong with them.
    fn configured(options: &str) -> Result<Option<String>, String> {
        let line = format!("virtiofs-daxd --socket-path /s --shared-dir /srv {options}");
        match parse(line.split_whitespace().map(Into::into).collect()) {
            Ok(Invocation::Serve(config)) => {
                Ok(config.metrics.map(|metrics| metrics.address.to_string()))
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_slash_makes_a_path() {
        for (text, is_path) in [("/run/m", true), ("./m", true), ("127.0.0.1:1", false)] {
            let address: MetricsAddress = text.parse().unwrap();
            assert_eq!(
                matches!(address, MetricsAddress::Unix(_)),
                is_path,
                "{text}"
            );
        }
        for text in [
            "",
            "m",
            "9100",
            ":9100",
            "localhost:9100",
            "::1:9100",
            "127.0.0.1",
        ] {
            assert!(text.parse::<MetricsAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn other_machines_have_to_be_let_in() {
        assert_eq!(configured(""), Ok(None));
        for here in ["127.0.0.1:9100", "127.1.2.3:9100", "[::1]:0", "/run/m"] {
            assert_eq!(
                configured(&format!("--metrics {here}")),
                Ok(Some(here.into()))
            );
        }
        for there in [
            "0.0.0.0:9100",
            "192.0.2.1:9100",
            "[::]:9100",
            "[2001:db8::1]:9100",
        ] {
            let refused = configured(&format!("--metrics {there}")).unwrap_err();
            assert!(refused.contains("add --metrics-anywhere"), "{refused}");
            let let_in = configured(&format!("--metrics {there} --metrics-anywhere"));
            assert_eq!(let_in, Ok(Some(there.into())));
        }
        assert!(configured("--metrics-anywhere").is_err());
    }
}
