// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long an input may take.
//!
//! Processor time of all threads, so that a busy machine is no finding. Waiting takes none of it;
//! that nobody waits for ever is libFuzzer's `-timeout`.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What an input may use. Sanitizers slow the daemon down two to three times, which is not added.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// Runs `input` and measures.
///
/// # Panics
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

/// Processor time of this process until now.
pub(crate) fn used() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
