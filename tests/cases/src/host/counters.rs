// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Counters of the share's daemon. They prove that a race took ranges of the window, or upgraded
//! mappings.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// How long the daemon may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

/// Something that the daemon counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Ranges that were unmapped. Linux unmaps a range when it takes the range for other data.
    Unmaps,
    /// Mappings that became writable.
    Upgrades,
}

impl Counter {
    /// Its name in the metrics of the daemon.
    fn name(self) -> &'static str {
        match self {
            Self::Unmaps => "virtiofs_daxd_window_unmaps_total",
            Self::Upgrades => "virtiofs_daxd_window_upgrades_total",
        }
    }

    /// Its value now, from the daemon that shows its metrics at `socket`.
    ///
    /// # Errors
    ///
    /// If the daemon does not answer, or does not count this.
    pub(super) fn read(self, socket: &Path) -> Result<u64> {
        let failed = || format!("reading the daemon's metrics at {}", socket.display());
        let ask = || {
            let mut stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
            stream.write_all(
                b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        let answer = ask().with_context(failed)?;
        let value = value(&answer, self.name());
        value.with_context(|| format!("the daemon does not show {}", self.name()))
    }
}

/// The value of a counter in an exposition of metrics.
fn value(answer: &str, name: &str) -> Option<u64> {
    let mut lines = answer.lines();
    lines.find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let answer = "HTTP/1.1 200 OK\r\n\r\n# TYPE virtiofs_daxd_window_unmaps counter\n\
                      virtiofs_daxd_window_unmaps_total 12\n";
        assert_eq!(value(answer, Counter::Unmaps.name()), Some(12));
        assert_eq!(value(answer, Counter::Upgrades.name()), None);
        assert_eq!(value(answer, "virtiofs_daxd_window_unmaps"), None);
    }
}
