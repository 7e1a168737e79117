// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A clock that costs almost nothing to read.

use std::ops::Add;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The time of the kernel's last tick, some milliseconds ago. Unlike [`std::time::Instant`] it
/// needs no system call on any clock source of the host.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(Duration);

impl Moment {
    pub(super) fn now() -> Self {
        let clock = ClockId::CLOCK_MONOTONIC_COARSE;
        let time = clock_gettime(clock).expect("Linux 2.6.32 and newer have this clock");
        Self(time.into())
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;
    use std::time::{Duration, Instant};

    #[test]
    fn it_goes_on_with_the_time() {
        let (start, wait) = (Instant::now(), Duration::from_millis(50));
        let end = Moment::now() + wait;
        assert!(Moment::default() < end);
        while Moment::now() < end {
            assert!(start.elapsed() < Duration::from_secs(60), "it stands");
            std::thread::yield_now();
        }
        assert!(start.elapsed() >= wait / 2, "it is too fast");
    }
}
