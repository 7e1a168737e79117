// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Processor time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use virtiofs_driver::{Daemon, daemon::Process};

/// A daemon's processes, looked for once.
#[derive(Clone, Debug)]
pub struct Family(Vec<Process>);

impl Family {
    /// Those that it has now.
    pub fn of(daemon: &Daemon) -> Self {
        Self(daemon.processes())
    }

    /// They themselves.
    pub fn processes(&self) -> &[Process] {
        &self.0
    }

    /// What all of them have taken so far. One that has ended counts no more.
    pub fn cpu(&self) -> Duration {
        self.0.iter().filter_map(|process| process.cpu().ok()).sum()
    }
}

/// What this process, which is driver and VMM, has taken so far.
pub fn of_this_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Others may have the processor for a long time.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn work_takes_time() {
        let (before, began) = (of_this_process(), Instant::now());
        while of_this_process() - before < Duration::from_millis(50) {
            assert!(began.elapsed() < PATIENCE, "work takes no processor time");
        }
    }
}
