// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a daemon with a window says of it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long the daemon may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);
const REQUEST: &[u8] = b"GET /metrics HTTP/1.0\r\nHost: daxd\r\n\r\n";

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// It does not answer.
    #[error("no metrics at {}", path.display())]
    Connection {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// They lack something.
    #[error("the daemon's metrics have no {0}")]
    Missing(&'static str),
}

/// How old what the daemon tells may be, and a little more.
pub(super) const STALE: Duration = Duration::from_millis(150);

/// What has been since the daemon's start, and what is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// SETUPMAPPING requests.
    pub set_up: u64,
    /// Of these, the ones that were refused.
    pub refused: u64,
    /// Ranges that the VMM unmapped.
    pub removed: u64,
    /// Bytes of the window that are mapped now.
    pub mapped_bytes: u64,
    /// Bytes of files behind them.
    pub used_bytes: u64,
}

const ACCEPTED: &str = "virtiofs_daxd_setupmapping_ok_total";
const REFUSED: &str = "virtiofs_daxd_setupmapping_refused_total";
const REMOVED: &str = "virtiofs_daxd_window_unmaps_total";
const MAPPED: &str = "virtiofs_daxd_window_occupied_bytes";
const USED: &str = "virtiofs_daxd_window_used_bytes";

impl Metrics {
    /// Asks at a socket.
    ///
    /// # Errors
    ///
    /// If it does not answer, or not with these.
    pub async fn at(socket: &Path) -> Result<Self, MetricsError> {
        let asked = async {
            let mut stream = UnixStream::connect(socket).await?;
            stream.write_all(REQUEST).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            Ok(text)
        };
        let asked = timeout(DEADLINE, asked).await;
        let text = asked.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
        let text = text.map_err(|source| MetricsError::Connection {
            path: socket.to_owned(),
            source,
        })?;
        Self::read(&text)
    }

    fn read(text: &str) -> Result<Self, MetricsError> {
        let sum = |name: &'static str| sum(text, name).ok_or(MetricsError::Missing(name));
        // A reason is listed once there has been one.
        let refused = sum(REFUSED).unwrap_or(0);
        Ok(Self {
            set_up: sum(ACCEPTED)? + refused,
            refused,
            removed: sum(REMOVED)?,
            mapped_bytes: sum(MAPPED)?,
            used_bytes: sum(USED)?,
        })
    }
}

/// The sum of a family's samples; none if it has none.
fn sum(text: &str, family: &str) -> Option<u64> {
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(family)?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest,
        };
        let value: f64 = rest.strip_prefix(' ')?.trim().parse().ok()?;
        Some(value as u64)
    });
    samples.fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_family_are_added() {
        let text =
            "# HELP a_total x\na_total{of=\"x\"} 3\na_total{of=\"y\"} 4\na_total_more 9\nb 2.5e3\n";
        assert_eq!(sum(text, "a_total"), Some(7));
        assert_eq!(sum(text, "b"), Some(2500));
        assert_eq!(sum(text, "c"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Metrics::read("").unwrap_err().to_string();
        assert!(error.contains(ACCEPTED), "{error}");
    }
}
