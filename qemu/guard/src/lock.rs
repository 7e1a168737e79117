// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A lock that a signal handler may take.
//!
//! All signals are blocked while it is held, so no handler ever runs in a thread that holds it.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys;

const FREE: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

pub(crate) struct Lock<T> {
    state: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: only the holder of the lock accesses the value.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The lock is held as long as this exists.
pub(crate) struct Held<'a, T> {
    lock: &'a Lock<T>,
    signals: u64,
}

impl<T> Lock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            state: AtomicU32::new(FREE),
            value: UnsafeCell::new(value),
        }
    }

    /// Whether a thread waits for it.
    #[cfg(test)]
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.load(Ordering::Relaxed) == AWAITED
    }

    pub(crate) fn lock(&self) -> Held<'_, T> {
        let signals = sys::signal_mask(libc::SIG_SETMASK, sys::ALL_SIGNALS);
        let taken = self
            .state
            .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
                sys::futex_wait(&self.state, AWAITED, None);
            }
        }
        Held {
            lock: self,
            signals,
        }
    }
}

impl<T> Held<'_, T> {
    /// Leaves the lock held. Returns the caller's signal mask, for [`Lock::release`].
    pub(crate) fn keep(self) -> u64 {
        let signals = self.signals;
        core::mem::forget(self);
        signals
    }
}

impl<T> Lock<T> {
    /// Releases a lock that was kept held.
    ///
    /// # Safety
    /// This thread, or the one that forked this process, has called [`Held::keep`] with these
    /// `signals`, and nothing has released the lock since.
    pub(crate) unsafe fn release(&self, signals: u64) {
        drop(Held {
            lock: self,
            signals,
        });
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and this is borrowed for as long as the value is.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        if self.lock.state.swap(FREE, Ordering::Release) == AWAITED {
            sys::futex_wake(&self.lock.state, 1);
        }
        sys::signal_mask(libc::SIG_SETMASK, self.signals);
    }
}
