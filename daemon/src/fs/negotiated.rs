// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether the window was negotiated, and whether it can be used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The front end has asked for the window's size.
const TAKEN: u8 = 1;
/// The front end can be asked to map.
const CHANNEL: u8 = 2;
/// Views can't be opened any more: the companion process is gone.
const NO_VIEWS: u8 = 4;
/// A request with a buffer in the window could not be served.
const UNREACHABLE: u8 = 8;
/// Files are mapped directly (without views), and the VMM is not known to leave them as they are.
const UNFIT: u8 = 16;

/// The window's state; set once the front end has asked for the window's size.
///
/// Every front end is offered a window, but not every front end uses it: QEMU's `vhost-user-fs`
/// device asks for no shared memory. The costs of a window (files are examined, no migration) apply
/// only to a front end that takes it. For all others the daemon behaves as virtiofsd does.
///
/// A window that was taken stays with the guest, but it may become useless: the back-end channel
/// breaks, the companion ends, the window's place in the guest's memory is unknown, or views are
/// needed and there are none. From then on no file is promised, and the guest reads through FUSE.
/// The check costs one load.
#[derive(Debug, Clone, Default)]
pub struct WindowNegotiated(Arc<AtomicU8>);

impl WindowNegotiated {
    /// Records that the front end has asked for the size: its guest has a window from now on.
    pub fn set(&self) {
        self.0.fetch_or(TAKEN, Ordering::Relaxed);
    }

    /// Whether the guest has a window.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) & TAKEN != 0
    }

    /// Records that the front end has passed a back-end channel, by which it can be asked to map.
    pub fn gain_channel(&self) {
        self.0.fetch_or(CHANNEL, Ordering::Relaxed);
    }

    /// Records that there is no channel, or that nothing can be mapped by it.
    pub fn lose_channel(&self) {
        self.0.fetch_and(!CHANNEL, Ordering::Relaxed);
    }

    /// Records that no view can be opened any more.
    pub fn lose_views(&self) {
        self.0.fetch_or(NO_VIEWS, Ordering::Relaxed);
    }

    /// Records whether this daemon can serve requests whose buffers lie in the window, as far as is
    /// known.
    pub fn set_reachable(&self, reachable: bool) {
        match reachable {
            true => self.0.fetch_and(!UNREACHABLE, Ordering::Relaxed),
            false => self.0.fetch_or(UNREACHABLE, Ordering::Relaxed),
        };
    }

    /// Records whether the VMM may be given what there is to map: views, or files that it leaves as
    /// they are. It may until a call says otherwise.
    pub fn set_fit(&self, fit: bool) {
        match fit {
            true => self.0.fetch_and(!UNFIT, Ordering::Relaxed),
            false => self.0.fetch_or(UNFIT, Ordering::Relaxed),
        };
    }

    /// Whether a file may be mapped, by the last calls of [`Self::set_reachable`] and
    /// [`Self::set_fit`].
    #[must_use]
    pub fn may_map(&self) -> bool {
        self.0.load(Ordering::Relaxed) & (UNREACHABLE | UNFIT) == 0
    }

    /// Whether the guest has a window and files can be mapped there.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.0.load(Ordering::Relaxed) == TAKEN | CHANNEL
    }
}

#[cfg(test)]
mod tests {
    use super::WindowNegotiated;

    #[test]
    fn a_window_is_usable_while_nothing_it_needs_is_missing() {
        let window = WindowNegotiated::default();
        assert!(!window.is_set() && !window.is_usable());
        window.set();
        assert!(window.is_set() && !window.is_usable(), "no channel yet");
        window.gain_channel();
        assert!(window.is_usable());
        window.lose_channel();
        assert!(window.is_set() && !window.is_usable());
        window.gain_channel();
        assert!(window.is_usable());
        window.set_reachable(false);
        assert!(!window.is_usable() && !window.may_map());
        window.set_fit(false);
        window.set_reachable(true);
        assert!(!window.is_usable() && !window.may_map());
        window.set_fit(true);
        assert!(window.is_usable() && window.may_map());
        window.lose_views();
        assert!(window.is_set() && !window.is_usable());
    }
}
