// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether the front end has taken the window.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once the front end has asked for the window's size.
///
/// A window is offered to every front end, but not every one has a use for it: QEMU's `vhost-user-fs`
/// device asks for no shared memory. What comes with a window (files are examined, no migration) is
/// only for those who take it; to all others the daemon is what virtiofsd is.
#[derive(Debug, Clone, Default)]
pub struct WindowTaken(Arc<AtomicBool>);

impl WindowTaken {
    /// The front end has asked for the size, so its guest has a window from now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the guest has a window.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
