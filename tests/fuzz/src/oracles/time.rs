// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The time limit of an input.
//!
//! The limit is on the processor time of all threads, so a busy machine causes no finding. Waiting
//! takes no processor time; libFuzzer's `-timeout` covers a wait without end.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The limit of processor time. Sanitizers make the daemon two to three times slower, which is not
/// added.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// Runs `input` and measures its processor time.
///
/// # Panics
/// If `input` took too long.
/// When it took too long.
pub fn limit(input: impl FnOnce()) {
    let begin = used();
    input();
    let taken = used().saturating_sub(begin);
    assert!(
        taken <= LIMIT,
        "the input took {taken:?} of processor time, {LIMIT:?} is allowed"
    );
}

/// The processor time of this process so far.
pub(crate) fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
