// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How a driver waits for the device.

use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;

use super::{Queue, QueueError, Used, Waiting};

const NO_INTERRUPT: u16 = VRING_AVAIL_F_NO_INTERRUPT as u16;

/// A poller checks the clock and the connection after this many looks at the used ring.
const LOOKS: u32 = 4096;

impl Queue {
    /// Sets how [`Queue::wait`] waits from now on.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.waiting = waiting;
        self.suppress_interrupts();
    }

    /// Waits at most `patience` for the next returned request.
    ///
    /// # Errors
    /// [`QueueError`] if none is returned, or the device returns an invalid one.
    pub fn wait(&mut self, patience: Duration) -> Result<Used, QueueError> {
        let looks = match self.waiting {
            Waiting::Interrupt => 1,
            Waiting::PollThenInterrupt(looks) => looks.max(1),
            Waiting::Poll => return self.wait_polling(patience),
        };
        for _ in 0..looks {
            if let Some(used) = self.poll()? {
                return Ok(used);
            }
            std::hint::spin_loop();
        }
        self.wait_sleeping(patience)
    }

    fn wait_polling(&mut self, patience: Duration) -> Result<Used, QueueError> {
        let mut deadline = None;
        loop {
            for _ in 0..LOOKS {
                if let Some(used) = self.poll()? {
                    return Ok(used);
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if now > *deadline.get_or_insert(now + patience) {
                return Err(self.notifier.timed_out(patience));
            }
            self.notifier.check_connection()?;
        }
    }

    fn wait_sleeping(&mut self, patience: Duration) -> Result<Used, QueueError> {
        let deadline = Instant::now() + patience;
        loop {
            self.want_interrupt();
            if let Some(used) = self.poll()? {
                self.suppress_interrupts();
                return Ok(used);
            }
            self.stats.sleeps += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.notifier.timed_out(patience));
            }
            self.notifier.wait(left)?;
        }
    }

    fn want_interrupt(&mut self) {
        if self.options.event_index {
            self.layout.used_event().store(self.seen, Ordering::Relaxed);
        } else {
            self.layout.available_flags().store(0, Ordering::Relaxed);
        }
        // The device must see that the driver wants interrupts before the driver reads the used
        // index.
        fence(Ordering::SeqCst);
    }

    pub(super) fn suppress_interrupts(&mut self) {
        if self.options.event_index {
            // The used index passes this value last of all.
            let passed = self.seen.wrapping_sub(1);
            self.layout.used_event().store(passed, Ordering::Relaxed);
        } else {
            let flags = self.layout.available_flags();
            flags.store(NO_INTERRUPT, Ordering::Relaxed);
        }
    }
}
