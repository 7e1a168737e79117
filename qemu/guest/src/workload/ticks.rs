// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Time by the processor's counter. Reading the guest's clock may take longer than the access that
//! is timed: an emulated machine's clock is a device.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the counter is compared with the clock.
const COMPARED: Duration = Duration::from_millis(20);

/// Ticks of the processor's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticks(pub(super) u64);

/// How fast the counter goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    per_ns: f64,
}

impl Ticks {
    /// Now.
    pub(super) fn now() -> Self {
        // SAFETY: each processor that this is built for has the counter.
        Self(unsafe { core::arch::x86_64::_rdtsc() })
    }

    /// Ticks since an earlier time.
    pub(super) fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Rate {
    /// That of this machine, found out once, which takes a moment.
    pub(super) fn of_this_machine() -> Self {
        static FOUND: OnceLock<Rate> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let (began, from) = (Instant::now(), Ticks::now());
            while began.elapsed() < COMPARED {
                std::hint::spin_loop();
            }
            let (ticks, time) = (Ticks::now().since(from), began.elapsed());
            Self {
                per_ns: ticks as f64 / time.as_nanos() as f64,
            }
        })
    }

    /// So many ticks in nanoseconds.
    pub(super) fn ns(self, ticks: u64) -> u64 {
        (ticks as f64 / self.per_ns) as u64
    }

    /// So long a time in ticks.
    pub(super) fn ticks(self, time: Duration) -> u64 {
        (time.as_nanos() as f64 * self.per_ns) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_agrees_with_the_clock() {
        let rate = Rate::of_this_machine();
        let (began, from) = (Instant::now(), Ticks::now());
        while began.elapsed() < Duration::from_millis(50) {}
        let (found, wanted) = (
            rate.ns(Ticks::now().since(from)),
            began.elapsed().as_nanos(),
        );
        let off = found as f64 / wanted as f64;
        assert!((0.9..1.1).contains(&off), "{off}");
        assert_eq!(rate.ns(rate.ticks(Duration::from_micros(7))) / 100, 69);
    }
}
