// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Limits the rate of log lines that a guest can cause.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A guest's error of one kind is logged at most once in this time; the others are counted.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows an error with everything that caused it, on one line.
pub(crate) struct ErrorChain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

struct State {
    last: Option<Instant>,
    suppressed: u64,
}

/// Limits the rate of one kind of line.
pub(crate) struct LogLimit {
    state: Mutex<State>,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl LogLimit {
    /// Nothing of this kind has been logged yet.
    pub(crate) const fn new() -> Self {
        let state = State {
            last: None,
            suppressed: 0,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Logs `what` as a warning, unless one of its kind was logged a short while ago.
    pub(crate) fn warn(&self, what: impl fmt::Display) {
        self.log_with(what, |text| log::warn!("{text}"));
    }

    /// Logs `what` by `log`, unless a line of its kind was logged a short while ago.
    pub(crate) fn log_with(&self, what: impl fmt::Display, log: impl FnOnce(fmt::Arguments<'_>)) {
        match self.admit(Instant::now()) {
            Some(0) => log(format_args!("{what}")),
            Some(suppressed) => log(format_args!(
                "{what} ({suppressed} more of this kind since the last such line)"
            )),
            None => {}
        }
    }

    /// How many lines were suppressed before this one, or `None` to suppress this one too.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        if state
            .last
            .is_some_and(|last| now.duration_since(last) < INTERVAL)
        {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::{INTERVAL, LogLimit};
    use std::time::{Duration, Instant};

    #[test]
    fn a_flood_becomes_one_line_and_a_number() {
        let log_limit = LogLimit::default();
        let start = Instant::now();
        assert_eq!(log_limit.admit(start), Some(0));
        for _ in 0..1000 {
            assert_eq!(log_limit.admit(start + Duration::from_millis(1)), None);
        }
        assert_eq!(log_limit.admit(start + INTERVAL), Some(1000));
        assert_eq!(log_limit.admit(start + 2 * INTERVAL), Some(0));
    }
}
